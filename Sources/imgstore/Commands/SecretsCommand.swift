// imgstore secrets.

import ArgumentParser
import Images

struct SecretsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "secrets",
    abstract: "List the secrets in an image",
    discussion: """
      The command finds password hashes, private keys, keytabs, tokens and similar secrets. It \
      searches the whole image: root tree, packed image, ramdisks, lists, extras and attributes. \
      docs/secrets.md has the rules. 'imgstore export --scrub' leaves secrets out of a bundle.

      Examples:
        imgstore secrets compute
        imgstore secrets compute@golden --json
      """)

  @Argument(help: "Image, or a snapshot of it") var ref: String?
  @Flag(help: "Print the rules as Markdown tables") var rules = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if ref == nil, !rules { throw ValidationError("Name an image, or give --rules.") }
    if rules, json.json { throw ValidationError("--rules and --json exclude each other.") }
  }

  func run() throws {
    if rules {
      for line in SecretsText.rules { print(line) }
      return
    }
    guard let ref else { return }
    let report = try common.open().secrets(ref)
    if try json.prints(report) { return }
    for line in SecretsText.all(report) { print(line) }
    let snapshot = report.snapshot ?? ref
    print(
      report.findings.isEmpty
        ? "\(snapshot) has no known secrets"
        : "\(snapshot) has \(SecretsText.summary(report))")
  }
}
