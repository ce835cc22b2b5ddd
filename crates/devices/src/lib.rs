//! Which processors there are beside the CPU, and whether this build can compute on them.
//!
//! NVIDIA's driver is asked through its own library, opened at run time: a machine without one pays for one failed look
//! and gets a reason ([`NoDriver`]), never a fault. Whether a GPU runs what was compiled is a pure function
//! ([`accepts`]) of its compute capability and of what the build script recorded ([`Compiled::this`]).
//!
//! What it is not: it computes nothing, and takes no memory of a GPU.
//!
//! ```
//! use devices::{Capability, Compiled, Verdict, accepts};
//!
//! let compiled = Compiled { ptx: vec![Capability::new(8, 0)], ..Compiled::default() };
//! assert_eq!(accepts(Capability::new(9, 0), &compiled), Verdict::Ptx(Capability::new(8, 0)));
//! assert_eq!(accepts(Capability::new(7, 5), &compiled), Verdict::Refused);
//! ```

mod capability;
mod compiled;
mod driver;
mod elf;
mod error;
mod libraries;
mod library;

pub use capability::{Capability, Verdict, accepts};
pub use compiled::Compiled;
pub use driver::{Driver, Gpu, driver, driver_of};
pub use elf::is_whole;
pub use error::{NoDriver, NoLibraries};
pub use libraries::{Libraries, libraries};
