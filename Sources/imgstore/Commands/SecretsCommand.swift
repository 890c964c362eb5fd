// imgstore secrets.

import ArgumentParser
import Images

struct SecretsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "secrets",
    abstract: "List the secrets that an image carries.",
    discussion: """
      Password hashes, private keys, keytabs, tokens and the like, in everything that belongs to the \
      image: root tree, packed image, ramdisks, lists, extras, attributes. docs/secrets.md has the \
      rules. 'imgstore export --scrub' leaves secrets out of a bundle.

      Examples:
        imgstore secrets compute
        imgstore secrets compute@golden --json
      """)

  @Argument(help: "The image, or a snapshot of it.") var ref: String?
  @Flag(help: "Print the rules, as tables in Markdown.") var rules = false
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
    let (snapshot, report) = try common.open().secrets(ref)
    Terminal.finish()
    if json.json { return try printJSON(SecretsJSON(report, snapshot: snapshot.name)) }
    for line in SecretsText.all(report) { print(line) }
    print(
      report.findings.isEmpty
        ? "\(snapshot.name) carries no secrets that are known of"
        : "\(snapshot.name) carries \(SecretsText.summary(report))")
  }
}
