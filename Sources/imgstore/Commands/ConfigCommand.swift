// imgstore config: the group of commands for the configuration.

import ArgumentParser

struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config",
    abstract: "Show, check and edit the configuration",
    discussion: """
      The files are /etc/imgstore/config.toml and, for users other than root, imgstore/config.toml in \
      XDG_CONFIG_HOME or ~/.config. An option has precedence over a variable of the environment, which has \
      precedence over the file of the user, then that of the machine. --config and IMGSTORE_CONFIG name one \
      file, which replaces all others. With --root, imgstore reads no other file.

      A file must belong to root or to you, and nobody else may be able to write to it.

      Examples:
        imgstore config check
        imgstore config show compute --origin
      """,
    subcommands: [
      ConfigShowCommand.self, ConfigCheckCommand.self, ConfigEditCommand.self,
      ConfigPathCommand.self,
    ])
}
