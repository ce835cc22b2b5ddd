//! On which processor a model runs: what was asked for, what is there, and why.

use devices::{Capability, Compiled, Driver, Gpu, NoDriver, Verdict, accepts};

use crate::{Error, processors};

/// A processor that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Cpu,
    /// A GPU of NVIDIA's, by its place.
    Nvidia(usize, Capability),
    /// Apple's GPU.
    Apple,
}

/// What a load asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Auto,
    Cpu,
    /// GPUs of NVIDIA's by their places, a replica on each; none is the first that works.
    Nvidia(Vec<usize>),
    Apple,
}

/// Where a model runs, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Never empty; several are replicas.
    pub(crate) places: Vec<Place>,
    pub(crate) reason: String,
    /// Said aloud: a GPU is there, this binary is made for GPUs, and they do not fit.
    pub(crate) warning: Option<String>,
}

impl Chosen {
    /// Whether it is not the CPU.
    pub(crate) fn on_gpu(&self) -> bool {
        self.places.iter().any(|place| *place != Place::Cpu)
    }
}

/// GPUs as this binary finds them.
#[derive(Debug, Clone)]
pub(crate) struct Inventory {
    /// Each of NVIDIA's with what is against it; or why there is none.
    pub(crate) nvidia: Result<Vec<(Gpu, Option<String>)>, String>,
    /// What is against Apple's GPU.
    pub(crate) apple: Option<String>,
    /// Whether this binary has kernels for any.
    pub(crate) built: bool,
}

impl Asked {
    /// `auto`, `cpu`, `metal`, `cuda`, `cuda:N`, or several `cuda:N` with commas.
    pub(crate) fn parse(device: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Options {
            message: format!(
                "device {device:?} {why}; use \"auto\", \"cpu\", \"cuda\", \"cuda:N\" or \"metal\", or several different \"cuda:N\""
            ),
        };
        let names: Vec<&str> = device.split(',').collect();
        if let [name] = names[..] {
            match name {
                "auto" => return Ok(Self::Auto),
                "cpu" => return Ok(Self::Cpu),
                "cuda" => return Ok(Self::Nvidia(Vec::new())),
                "metal" => return Ok(Self::Apple),
                _ => {}
            }
        }
        let place = |name: &&str| {
            let number = name.strip_prefix("cuda:")?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
        };
        let places: Option<Vec<usize>> = names.iter().map(place).collect();
        let mut places = places.ok_or_else(|| wrong("is none"))?;
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        if places.len() < count { Err(wrong("names one twice")) } else { Ok(Self::Nvidia(places)) }
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Auto => "auto".into(),
            Self::Cpu => "cpu".into(),
            Self::Apple => "metal".into(),
            Self::Nvidia(places) if places.is_empty() => "cuda".into(),
            Self::Nvidia(places) => {
                places.iter().map(|place| format!("cuda:{place}")).collect::<Vec<_>>().join(",")
            }
        };
        f.write_str(&text)
    }
}

impl Inventory {
    /// Of this process.
    pub(crate) fn this() -> Self {
        Self::of(devices::driver(), &Compiled::this(), processors::left_aside(), processors::against_apple())
    }

    /// `left_aside` says why the binary with kernels for NVIDIA's GPUs is not this one.
    pub(crate) fn of(
        driver: &Result<Driver, NoDriver>,
        compiled: &Compiled,
        left_aside: Option<String>,
        apple: Option<String>,
    ) -> Self {
        let built = *compiled != Compiled::default();
        let nvidia = match driver {
            Err(reason) if built => Err(reason.to_string()),
            // Both halves: what was left aside for the driver's sake has named it.
            Err(reason) => {
                let (no_kernels, reason) = (no_kernels(left_aside.clone()), reason.to_string());
                Err(if no_kernels.contains(&reason) { no_kernels } else { format!("{no_kernels}; {reason}") })
            }
            Ok(driver) => Ok(driver
                .gpus
                .iter()
                .map(|gpu| (gpu.clone(), against(gpu, driver, compiled, left_aside.as_deref())))
                .collect()),
        };
        Self { nvidia, apple, built }
    }

    /// What there is, for messages.
    pub(crate) fn describe(&self) -> String {
        let mut all = vec!["cpu".to_string()];
        for (gpu, against) in self.nvidia.iter().flatten() {
            let well = if against.is_some() { ", not usable" } else { "" };
            all.push(format!(
                "cuda:{} ({}, {} MiB, compute capability {}{well})",
                gpu.index,
                gpu.name,
                gpu.memory >> 20,
                gpu.capability
            ));
        }
        if self.apple.is_none() {
            all.push("metal".into());
        }
        format!("there is {}", all.join(", "))
    }

    fn first_usable(&self) -> Option<Place> {
        let gpus = self.nvidia.iter().flatten();
        let nvidia = gpus
            .filter(|(_, against)| against.is_none())
            .map(|(gpu, _)| Place::Nvidia(gpu.index, gpu.capability));
        nvidia.chain(self.apple.is_none().then_some(Place::Apple)).next()
    }

    /// Where to compute.
    ///
    /// # Errors
    /// A device that was asked for by name and cannot be used, with what is against it and what there is.
    pub(crate) fn choose(&self, asked: &Asked) -> Result<Chosen, Error> {
        let as_asked = |places| Chosen { places, reason: "as asked for".into(), warning: None };
        match asked {
            Asked::Cpu => Ok(as_asked(vec![Place::Cpu])),
            Asked::Apple => match &self.apple {
                None => Ok(as_asked(vec![Place::Apple])),
                Some(reason) => Err(self.refused("metal", reason)),
            },
            Asked::Nvidia(places) if places.is_empty() => self.any_nvidia(),
            Asked::Nvidia(places) => {
                places.iter().map(|&place| self.nvidia_at(place)).collect::<Result<_, _>>().map(as_asked)
            }
            Asked::Auto => Ok(self.automatic()),
        }
    }

    fn any_nvidia(&self) -> Result<Chosen, Error> {
        let gpus = self.nvidia.as_ref().map_err(|reason| self.refused("cuda", reason))?;
        let found = gpus.iter().find(|(_, against)| against.is_none()).or(gpus.first());
        let place = found.map_or(0, |(gpu, _)| gpu.index);
        let places = vec![self.nvidia_at(place)?];
        Ok(Chosen { places, reason: "asked for cuda: the first that works".into(), warning: None })
    }

    fn nvidia_at(&self, place: usize) -> Result<Place, Error> {
        let device = format!("cuda:{place}");
        let gpus = self.nvidia.as_ref().map_err(|reason| self.refused(&device, reason))?;
        match gpus.iter().find(|(gpu, _)| gpu.index == place) {
            None => Err(self.refused(&device, "there is no such device")),
            Some((_, Some(reason))) => Err(self.refused(&device, reason)),
            Some((gpu, None)) => Ok(Place::Nvidia(place, gpu.capability)),
        }
    }

    fn automatic(&self) -> Chosen {
        if let Some(place) = self.first_usable() {
            return Chosen {
                places: vec![place],
                reason: "auto: the first GPU that works".into(),
                warning: None,
            };
        }
        let unfit = self.nvidia.iter().flatten().find_map(|(_, against)| against.clone());
        let warning = unfit.clone().filter(|_| self.built);
        let against = unfit.or(self.nvidia.clone().err()).unwrap_or_default();
        Chosen { places: vec![Place::Cpu], reason: format!("auto: the CPU, since {against}"), warning }
    }

    /// Whether so many bytes are there: of the machine, and of those GPUs that this binary computes on and that have memory
    /// of their own.
    ///
    /// # Errors
    /// How many there are, and of what.
    pub(crate) fn holds(&self, bytes: u64, machine: u64) -> Result<(), String> {
        let usable = self.nvidia.iter().flatten().filter(|(_, against)| against.is_none());
        let gpus = usable.fold(0, |sum: u64, (gpu, _)| sum.saturating_add(gpu.memory));
        if bytes <= machine.saturating_add(gpus) {
            return Ok(());
        }
        let of_gpus = if gpus == 0 { String::new() } else { format!(", and {gpus} of GPUs") };
        Err(format!(
            "{bytes} bytes are more than there are: {machine} of this machine or of its cgroup's limit{of_gpus}; {}",
            self.describe()
        ))
    }

    fn refused(&self, device: &str, reason: &str) -> Error {
        Error::Device { device: device.into(), reason: format!("{reason}; {}", self.describe()) }
    }
}

/// Why a binary without kernels for NVIDIA's GPUs is the one in use, as far as somebody noted it.
pub(crate) fn no_kernels(left_aside: Option<String>) -> String {
    left_aside.unwrap_or_else(|| "this binary has no kernels for NVIDIA's GPUs".into())
}

/// What is against a GPU.
fn against(gpu: &Gpu, driver: &Driver, compiled: &Compiled, left_aside: Option<&str>) -> Option<String> {
    if *compiled == Compiled::default() {
        return Some(no_kernels(left_aside.map(Into::into)));
    }
    let (name, capability) = (&gpu.name, gpu.capability);
    if accepts(capability, compiled) == Verdict::Refused {
        return Some(format!(
            "{name} has compute capability {capability}, and this binary holds {}; build one that fits with: \
             CUDA_COMPUTE_CAP={} npm run build:cuda",
            compiled.describe(),
            capability.number()
        ));
    }
    let (toolkit, known) = (compiled.toolkit, driver.version);
    (known < toolkit).then(|| {
        format!(
            "the driver of {name} knows CUDA {}.{}, and this binary is made with {}.{}: update the driver",
            known.0, known.1, toolkit.0, toolkit.1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(index: usize, name: &str, number: u32) -> Gpu {
        let capability = Capability::new(number / 10, number % 10);
        Gpu { index, name: name.into(), memory: 80 << 30, capability, uuid: None, bus: None }
    }

    fn compiled() -> Compiled {
        Compiled { ptx: vec![Capability::new(8, 0)], toolkit: (13, 0), ..Compiled::default() }
    }

    fn inventory(gpus: &[Gpu], compiled: &Compiled) -> Inventory {
        let driver = match gpus.is_empty() {
            true => Err(NoDriver::NoDevice { visible: None }),
            false => Ok(Driver { version: (13, 0), gpus: gpus.to_vec() }),
        };
        Inventory::of(&driver, compiled, None, Some("Metal is part of macOS".into()))
    }

    #[test]
    fn devices_are_parsed() {
        for (text, expected) in [
            ("auto", Asked::Auto),
            ("cpu", Asked::Cpu),
            ("metal", Asked::Apple),
            ("cuda", Asked::Nvidia(vec![])),
            ("cuda:0", Asked::Nvidia(vec![0])),
            ("cuda:1,cuda:0", Asked::Nvidia(vec![0, 1])),
        ] {
            assert_eq!(Asked::parse(text).unwrap(), expected, "{text}");
        }
        let wrong = [
            "",
            "gpu",
            "cuda:-1",
            "cuda:",
            "cuda:+1",
            "cuda:x",
            "cuda:99999999999999999999",
            "cuda:0,cuda:0",
            "cpu,cuda:0",
            "cuda,cuda:0",
            "CUDA",
        ];
        for text in wrong {
            assert_eq!(Asked::parse(text).unwrap_err().code(), "ERR_INVALID_ARGUMENT", "{text}");
        }
    }

    #[test]
    fn a_gpu_that_fits_is_taken() {
        let found = inventory(&[gpu(0, "T4", 75), gpu(1, "L4", 89), gpu(2, "H100", 90)], &compiled());
        let places = |asked| found.choose(&asked).unwrap().places;
        let l4 = Place::Nvidia(1, Capability::new(8, 9));
        assert_eq!(places(Asked::Auto), [l4]);
        assert_eq!(places(Asked::Nvidia(vec![])), [l4]);
        assert_eq!(places(Asked::Nvidia(vec![1, 2])), [l4, Place::Nvidia(2, Capability::new(9, 0))]);
        assert_eq!(places(Asked::Cpu), [Place::Cpu]);
        assert_eq!(found.choose(&Asked::Auto).unwrap().warning, None);
    }

    #[test]
    fn a_gpu_that_does_not_fit_is_refused_by_name_and_warned_of_by_itself() {
        let found = inventory(&[gpu(0, "T4", 75)], &compiled());
        for asked in [Asked::Nvidia(vec![]), Asked::Nvidia(vec![0])] {
            let error = found.choose(&asked).unwrap_err();
            let message = error.to_string();
            for part in [
                "T4 has compute capability 7.5",
                "PTX for 8.0",
                "CUDA_COMPUTE_CAP=75 npm run build:cuda",
                "there is cpu, cuda:0 (T4, 81920 MiB",
            ] {
                assert!(message.contains(part), "{message}");
            }
            assert_eq!(error.code(), "ERR_DEVICE");
        }
        let chosen = found.choose(&Asked::Auto).unwrap();
        assert_eq!(chosen.places, [Place::Cpu]);
        assert!(chosen.warning.is_some_and(|text| chosen.reason.contains(&text)));
    }

    #[test]
    fn an_older_driver_than_the_toolkit_is_named() {
        let driver = Ok(Driver { version: (12, 4), gpus: vec![gpu(0, "H100", 90)] });
        let found = Inventory::of(&driver, &compiled(), None, None);
        let message = found.choose(&Asked::Nvidia(vec![0])).unwrap_err().to_string();
        assert!(message.contains("knows CUDA 12.4, and this binary is made with 13.0"), "{message}");
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let found = inventory(&[gpu(0, "H100", 90)], &compiled());
        for (asked, words) in [
            (
                Asked::Nvidia(vec![9]),
                "device \"cuda:9\" cannot be used: there is no such device; there is cpu, cuda:0 (H100",
            ),
            (Asked::Nvidia(vec![0, 9]), "\"cuda:9\""),
            (Asked::Apple, "Metal is part of macOS; there is cpu, cuda:0"),
        ] {
            let error = found.choose(&asked).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.code(), "ERR_DEVICE");
        }
    }

    #[test]
    fn without_a_gpu_the_cpu_and_why() {
        let found = inventory(&[], &compiled());
        let chosen = found.choose(&Asked::Auto).unwrap();
        assert_eq!((chosen.places, chosen.warning), (vec![Place::Cpu], None));
        assert!(chosen.reason.contains("has no device to show"), "{}", chosen.reason);
        assert!(found.choose(&Asked::Nvidia(vec![])).is_err());
    }

    #[test]
    fn both_halves_are_told_and_each_once() {
        let none = Compiled::default();
        let driver = Err(NoDriver::NoDevice { visible: None });
        let reason = |left_aside: Option<&str>| {
            let found = Inventory::of(&driver, &none, left_aside.map(Into::into), None);
            found.nvidia.unwrap_err()
        };
        let no_device = "NVIDIA's driver has no device to show";
        assert_eq!(reason(None), format!("this binary has no kernels for NVIDIA's GPUs; {no_device}"));
        assert_eq!(reason(Some("install it")), format!("install it; {no_device}"));
        let left_aside = format!("it is left aside: {no_device}");
        assert_eq!(reason(Some(&left_aside)), left_aside);
    }

    #[test]
    fn memory_is_that_of_the_machine_and_of_the_gpus_that_work() {
        let (gib, mixed) = (1 << 30, inventory(&[gpu(0, "T4", 75), gpu(1, "H100", 90)], &compiled()));
        assert!(mixed.holds(96 * gib, 16 * gib).is_ok(), "the T4 is not usable");
        let message = mixed.holds(96 * gib + 1, 16 * gib).unwrap_err();
        for part in [
            "103079215105 bytes are more than there are: 17179869184 of this machine",
            ", and 85899345920 of GPUs",
            "there is cpu, cuda:0 (T4, 81920 MiB, compute capability 7.5, not usable), cuda:1 (H100",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let none = inventory(&[], &compiled());
        assert!(none.holds(16 * gib, 16 * gib).is_ok());
        let message = none.holds(16 * gib + 1, 16 * gib).unwrap_err();
        assert!(message.ends_with("of its cgroup's limit; there is cpu"), "{message}");
    }

    #[test]
    fn a_binary_without_kernels_warns_of_nothing() {
        let found = inventory(&[gpu(0, "H100", 90)], &Compiled::default());
        let chosen = found.choose(&Asked::Auto).unwrap();
        assert_eq!((chosen.places, chosen.warning), (vec![Place::Cpu], None));
        let error = found.choose(&Asked::Nvidia(vec![0])).unwrap_err().to_string();
        assert!(error.contains("this binary has no kernels"), "{error}");
    }
}
