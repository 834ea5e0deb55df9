//! Commands in cells from a small process: `[rounds [one|making|flight|inside]...]`.

fn main() -> anyhow::Result<()> {
    portcullis_confine::enter();
    let mut args = std::env::args().skip(1);
    let rounds = args.next().map_or(Ok(200), |rounds| rounds.parse())?;
    let parts: Vec<String> = args.collect();
    portcullis_spawn_bench::run("a command, captured, from a small process", rounds, &parts)?;
    Ok(())
}
