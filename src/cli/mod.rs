//! One file a command. A command is one variant here, and one line in `run`.

pub mod check;
pub mod demo;
pub mod eval;
mod hold_off;
mod progress;
pub mod replay;
pub mod score;
mod scoring;
pub mod serve;
pub mod sim;
mod streams;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What `foreshock` was asked to do.
#[derive(Debug, Parser)]
#[command(name = "foreshock", version, about, long_about = None, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate a configuration and its packs, and tell everything that is to mend
    Check(check::Check),
    /// See a simulated Zimbra cluster break, be seen through, and be healed
    Demo(demo::Demo),
    /// Watch: collect, detect, tell, act, until stopped
    Serve(serve::Serve),
    /// Run recorded data through the engine and print the events; no action is sent
    Replay(replay::Replay),
    /// Score each row of a CSV by how unusual it is, given the rows before it
    Score(score::Score),
    /// Measure the detectors against labelled data
    Eval(eval::Eval),
    /// Run the simulated cluster by itself
    Sim(sim::Sim),
}

/// Runs the command; errors are for people, on stderr.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Check(check) => check.run(),
        Command::Demo(demo) => demo.run(),
        Command::Serve(serve) => serve.run(),
        Command::Replay(replay) => replay.run(),
        Command::Score(score) => score.run(),
        Command::Eval(eval) => eval.run(),
        Command::Sim(sim) => sim.run(),
    }
}
