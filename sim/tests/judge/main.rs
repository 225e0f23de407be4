//! The simulator as the judge of the core: what `cargo xtask mutants` asks about a changed one, in one program,
//! since that is linked again for each mutant.

mod coverage;
mod economy;
mod healing;
mod isolation;
mod metamorphic;
mod seeds;
mod small_worlds;
