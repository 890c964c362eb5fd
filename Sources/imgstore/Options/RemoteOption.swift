// The host of a bundle (-R), for `export` and `import`.

import ArgumentParser

/// The option -R.
struct RemoteOption: ParsableArguments {
  @Option(
    name: [.customShort("R"), .long, .customLong("remotehost")],
    help: ArgumentHelp(
      "Host of the bundle; scp copies it and must work without a password", valueName: "user@host"))
  var remoteHost: String?
}
