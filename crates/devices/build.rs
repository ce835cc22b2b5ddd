//! Records which kernels candle's build script makes, by the same rules, so that the check at run time is held against
//! what was compiled (cudaforge 0.1.6, `compute_cap.rs`: CUDA_COMPUTE_CAP, else what nvidia-smi says of the first GPU).

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["CUDA_COMPUTE_CAP", "CUDARC_CUDA_VERSION", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let built = std::env::var_os("CARGO_FEATURE_CUDA").is_some();
    let (capability, toolkit) = if built { (capability(), toolkit()) } else { Default::default() };
    println!("cargo::rustc-env=EMBED_NATIVE_CAPABILITY={capability}");
    println!("cargo::rustc-env=EMBED_NATIVE_TOOLKIT={toolkit}");
}

fn capability() -> String {
    let named = std::env::var("CUDA_COMPUTE_CAP").ok().filter(|value| !value.is_empty());
    let words = ["--query-gpu=compute_cap", "--format=csv,noheader"];
    named.or_else(|| first_line("nvidia-smi", &words)).unwrap_or_else(|| "80".into())
}

/// As `13.0`.
fn toolkit() -> String {
    let named = std::env::var("CUDARC_CUDA_VERSION").ok().and_then(|value| value.parse::<u32>().ok());
    if let Some(version) = named {
        return format!("{}.{}", version / 1000, version % 1000 / 10);
    }
    let output = Command::new("nvcc").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let release = text.split("release ").nth(1).and_then(|rest| rest.split(',').next());
    release.unwrap_or_default().trim().into()
}

fn first_line(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().next()?.trim().into()).filter(|line: &String| !line.is_empty())
}
