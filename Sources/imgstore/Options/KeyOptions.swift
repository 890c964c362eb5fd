// The options that name keys.

import ArgumentParser

struct KeyOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The private key (default: /etc/imgstore/signing-key.pem).", valueName: "file"))
  var key: String?
}

struct TrustedKeysOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The folder of trusted keys (default: /etc/imgstore/trusted-keys).", valueName: "dir"))
  var trustedKeys: String?
}
