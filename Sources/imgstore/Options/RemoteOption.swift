// The host of a bundle (-R), for `export` and `import`.

import ArgumentParser

struct RemoteOption: ParsableArguments {
  @Option(
    name: [.customShort("R"), .long, .customLong("remotehost")],
    help: ArgumentHelp(
      "The bundle is on that host; scp copies it, without a password.", valueName: "user@host"))
  var remoteHost: String?
}
