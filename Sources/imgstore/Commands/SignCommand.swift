// imgstore sign.

import ArgumentParser
import Images

struct SignCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign", abstract: "Sign snapshots",
    discussion: """
      A signature covers the snapshot's id, image, number, parent, time, host, user, command and \
      table rows, and the content of all its files. A snapshot can have signatures by several keys.
      """)

  @Argument(help: "Snapshots to sign") var refs: [String]
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
    if try json.prints(SignaturesMadeJSON(snapshots: signed, key: key.publicKey)) { return }
    for snapshot in signed { print("signed \(snapshot.name) with \(key.publicKey.id.shortHex)") }
  }
}
