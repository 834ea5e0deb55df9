//! What most plugins look like: set variables, run one tool, hand its output or its complaint on.

wit_bindgen::generate!({ path: "../wit/my-cli", world: "plugin" });

struct Plugin;

impl Guest for Plugin {
    /// Runs `args` as a command under an AWS profile and region.
    fn run(args: Vec<String>) -> Result<String, String> {
        let (program, args) = args.split_first().ok_or("usage: PROGRAM [ARG]...")?;
        let env = vec![
            ("AWS_PROFILE".to_string(), "dev".to_string()),
            ("AWS_REGION".to_string(), "eu-west-1".to_string()),
        ];
        let request = my::cli::process::ExecRequest {
            program: program.clone(),
            args: args.to_vec(),
            cwd: None,
            env,
            inherit_env: true,
            stdin: None,
        };
        let result = my::cli::process::exec(&request)?;
        if result.status != 0 {
            return Err(String::from_utf8_lossy(&result.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    }
}

export!(Plugin);
