// imgstore key, sign.

import ArgumentParser
import Images
import Platform
import Signatures

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

struct KeyGenerate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Make an Ed25519 key pair; overwrite nothing.",
    discussion: """
      Without --output the key is this machine's own, and this machine trusts it. The public key \
      stands next to the private one, with .pub added to its name: give it to other sites.
      """)

  @Option(help: ArgumentHelp("Write the private key to FILE.", valueName: "file"))
  var output: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().generateKey(output: output)
    Terminal.finish()
    if json.json { return try printJSON(KeyJSON(outcome)) }
    print("key \(outcome.key.id)")
    if let file = outcome.privateFile { print("  private key: \(file)") }
    for file in outcome.publicFiles { print("  public key:  \(file)") }
  }
}

struct KeyShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Print the id and the public key of the signing key.")

  @OptionGroup var key: KeyOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let publicKey = try common.open().signingKey(key.key).publicKey
    Terminal.finish()
    if json.json { return try printJSON(KeyJSON(publicKey, name: nil)) }
    print("key \(publicKey.id)")
    print(String(decoding: publicKey.pem, as: UTF8.self), terminator: "")
  }
}

struct KeyList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the trusted keys.")

  @OptionGroup var trusted: TrustedKeysOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let keys = try common.open().trustedKeys(trusted.trustedKeys)
    Terminal.finish()
    if json.json {
      return try printJSON(
        KeysJSON(keys: keys.all.map { KeyJSON($0.key, name: $0.name) }))
    }
    if keys.isEmpty { return print("\(keys.folder) holds no key") }
    print(table(keys.all.map { [$0.key.id.hex, $0.name] }))
  }
}

struct KeyTrust: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trust", abstract: "Trust a public key from now on.",
    discussion: """
      Compare its id with what the key's owner says, over another way than the one it came by. To \
      trust a key no more, remove its file.
      """)

  @Argument(help: "The public key, in PEM.") var file: String
  @Option(help: "What the key is called here.") var name: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let outcome = try common.open().trustKey(file, as: name)
    Terminal.finish()
    if json.json { return try printJSON(KeyJSON(outcome)) }
    print("trusted key \(outcome.key.id)")
    for file in outcome.publicFiles { print("  \(file)") }
  }
}

struct Sign: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign", abstract: "Sign snapshots.",
    discussion: """
      A signature covers the snapshot's id, image, number, parent, time, host, user, command, \
      table rows and the content of all its files. A snapshot can have signatures of several keys.
      """)

  @Argument(help: "The snapshots.") var refs: [String]
  @OptionGroup var key: KeyOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if refs.isEmpty { throw ValidationError("Name a snapshot.") }
  }

  func run() throws {
    let workspace = try common.open()
    let key = try workspace.signingKey(key.key)
    let signed = try workspace.sign(refs, with: key)
    Terminal.finish()
    if json.json {
      return try printJSON(
        SignaturesMadeJSON(
          signed: signed.map {
            SignedJSON(snapshot: $0.name, id: $0.id.hex, key: key.publicKey.id.hex)
          }))
    }
    for snapshot in signed { print("signed \(snapshot.name) with \(key.publicKey.id.shortHex)") }
  }
}

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
