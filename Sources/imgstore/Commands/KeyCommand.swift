// imgstore key: the group of commands for keys.

import ArgumentParser

struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key",
    abstract: "Create, show and trust the keys that sign snapshots",
    discussion: """
      The private key of this machine is /etc/imgstore/signing-key.pem. The public keys that it \
      trusts are in /etc/imgstore/trusted-keys. docs/signatures.md shows how to use them.
      """,
    subcommands: [
      KeyGenerateCommand.self, KeyShowCommand.self, KeyListCommand.self, KeyTrustCommand.self,
    ])
}
