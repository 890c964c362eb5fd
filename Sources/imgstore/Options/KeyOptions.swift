// The options that name keys.

import ArgumentParser

/// The option --key.
struct KeyOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "File of the private key (default: /etc/imgstore/signing-key.pem)", valueName: "file"))
  var key: String?
}

/// The option --trusted-keys.
struct TrustedKeysOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Directory of trusted keys (default: /etc/imgstore/trusted-keys)", valueName: "dir"))
  var trustedKeys: String?
}
