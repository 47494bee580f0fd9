//! Prints the reference of all keys, as `docs/configuration.md` has it.

fn main() {
    print!("{}", nexo_pairing_config::reference());
}
