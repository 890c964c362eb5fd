// imgstore key: the group of its commands.

import ArgumentParser

struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key",
    abstract: "Make, show and trust the keys that sign snapshots.",
    discussion: """
      The private key of this machine is /etc/imgstore/signing-key.pem, and the public keys that it \
      trusts lie in /etc/imgstore/trusted-keys. docs/signatures.md shows how they are used.
      """,
    subcommands: [
      KeyGenerate.self, KeyShow.self, KeyList.self, KeyTrust.self,
    ])
}
