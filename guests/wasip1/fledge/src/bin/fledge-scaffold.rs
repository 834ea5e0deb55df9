//! What fledge's own scaffold makes: it imports nothing of fledge, and writes a line to its standard output.

fn main() {
    println!(r#"{{"type":"output","text":"Hello from a scaffold"}}"#);
}
