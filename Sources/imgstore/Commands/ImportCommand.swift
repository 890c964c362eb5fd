// imgstore import. The name imgimport is in XCATImport.swift.

import ArgumentParser
import Images
import Platform
import XCAT

struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Take a bundle in as a new image, or under a new profile.",
    discussion: """
      The whole bundle is read into the store and checked before anything on the machine is \
      changed. What it replaces is kept as a snapshot, and 'imgstore undo IMAGE' takes the import \
      back. A bundle writes below the install folder only, and an image that exists is refused \
      unless --force is given.

      Examples:
        imgstore import compute@3.tgz --dry-run
        imgstore import compute@3.tgz -f compute2
        imgstore import chroot@1.tgz --to /srv/images/chroot
        imgstore import backup/compute@3.tgz -R root@mn2
      """)

  @Argument(help: "The bundle (gzip, xz, zstd or plain tar), or '-' for standard input.")
  var bundle: String
  @Option(
    name: [.customShort("f"), .long],
    help: "Import under this profile: own folder, own lists, own name.")
  var profile: String?
  @Option(help: "The name of the new image.") var name: String?
  @Option(
    help: ArgumentHelp(
      "Where the tree goes, of an image that is a directory (default: where it is already).",
      valueName: "dir"))
  var to: String?
  @Flag(help: "Replace an image of that name; what it was is kept as a snapshot.")
  var force = false
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Give these nodes the bundle's postscripts and postbootscripts.", valueName: "noderange"))
  var postscripts: String?
  @Flag(help: "With --postscripts: add them to the nodes' own instead of replacing those.")
  var appendPostscripts = false
  @Flag(help: "Keep each replaced file beside the new one as FILE.ORIG, as xCAT does.")
  var orig = false
  @Flag(help: "Keep columns of a replaced image that the bundle does not set.")
  var merge = false
  @Option(
    help: ArgumentHelp(
      "Let the bundle write below this folder too. Repeatable.", valueName: "prefix"))
  var allow: [String] = []
  @Flag(help: "Install plugins of kits: code that xcatd runs as root.")
  var trustPlugins = false
  @Flag(help: "Take values that xCAT's commands would give to a shell as more than one word.")
  var allowUnsafeValues = false
  @Flag(
    help: "Take trees with device nodes, and with setuid files that no package of theirs owns.")
  var allowPrivileged = false
  @Flag(help: "Refuse what no trusted key has signed, before anything is changed.")
  var requireSignature = false
  @OptionGroup var trusted: TrustedKeysOption
  @OptionGroup var remote: RemoteOption
  @OptionGroup var nodeset: NodesetOption
  @Flag(name: [.customShort("n"), .long], help: "Check everything and say what would change.")
  var dryRun = false
  @Flag(help: "With --dry-run: every step, a line each.") var all = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if appendPostscripts, postscripts == nil {
      throw ValidationError(
        "--append-postscripts says how --postscripts NODERANGE works: give both.")
    }
    for (option, value) in [
      ("--profile", profile), ("--name", name), ("--postscripts", postscripts), ("--to", to),
    ] where value == "" {
      throw ValidationError("The value of \(option) is empty.")
    }
    for prefix in allow where !prefix.hasPrefix("/") {
      throw ValidationError("--allow wants an absolute path, not '\(prefix)'.")
    }
    if bundle == "-", remote.remoteHost != nil {
      throw ValidationError("Standard input is not on another host: give '-', or -R.")
    }
  }

  func run() throws {
    let workspace = try common.open()
    try nodeset.check(workspace)
    let outcome: ImportOutcome
    if let host = remote.remoteHost {
      let file = try RemoteFile(host: host, path: bundle)
      workspace.progress.begin("copying from \(file.host)")
      outcome = try RemoteBundle.fetch(workspace, file) {
        try workspace.importBundle(request($0)) { _ in }
      }
    } else {
      outcome = try workspace.importBundle(request(bundle)) { _ in }
    }
    var boot: [String: BootCheck] = [:]
    for image in outcome.images where !outcome.isDryRun {
      boot[image.name] = nodeset.follow(
        workspace, image.name, writes: image.apply.writes,
        isDone: image.remaining?.isEmpty ?? true)
    }
    Terminal.finish()
    if json.json {
      try printJSON(ImportJSON(outcome, boot) { workspace.undo($0) })
    } else {
      for image in outcome.images { describe(image, workspace, outcome) }
      for origin in outcome.origins { print(text(of: origin)) }
    }
    for remark in outcome.images.flatMap(\.remarks) { Terminal.warning(remark) }
    let lost = outcome.images.flatMap(\.notes).map(noteText)
    if outcome.isDryRun { for line in lost { Terminal.warning(line) } }
    let bootProblems = outcome.images.flatMap { boot[$0.name]?.tell(json) ?? [] }
    let problems =
      (outcome.isDryRun ? [] : outcome.images.flatMap(\.problemLines) + lost) + bootProblems
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems) }
  }

  private func request(_ file: String) -> ImportRequest {
    var request = ImportRequest(file)
    request.profile = profile
    request.name = name
    request.directory = to
    request.replaces = force
    request.nodes = postscripts
    request.appendsPostscripts = appendPostscripts
    request.keepsOriginals = orig
    request.mergesColumns = merge
    request.allowed = allow
    request.trustsPlugins = trustPlugins
    request.allowsUnsafeValues = allowUnsafeValues
    request.allowsPrivileged = allowPrivileged
    request.requiresSignature = requireSignature
    request.trustedKeys = trusted.trustedKeys
    request.isDryRun = dryRun
    return request
  }

  private func text(of origin: OriginSignature) -> String {
    let key = origin.keyName.map { "\($0) (\(origin.key.shortHex))" } ?? origin.key.shortHex
    let subject = "\(printable(origin.subject.utf8)) of \(printable(origin.host.utf8))"
    return origin.isVerified
      ? "signed by \(key) as \(subject)"
      : "carries a signature by \(key) as \(subject): not checked without --require-signature"
  }

  private func describe(_ image: ImportedImage, _ workspace: Workspace, _ outcome: ImportOutcome) {
    let apply = image.apply
    if outcome.isDryRun {
      StepsText(apply, showsAll: all).printAll()
      printTrust(image)
      print(
        "an import of \(image.name) would \(image.replaced ? "replace it" : "define it"), take "
          + "\(count(apply.plannedSteps, "step")), write \(sizeText(apply.plannedBytes)) and "
          + "remove \(count(apply.removals.count, "entry"))")
      return
    }
    for piece in image.imported?.snapshot.pieces ?? [] { print("  \(printable(piece.path))") }
    printTrust(image)
    print(
      "imported \(image.name)\(image.imported.map { " as \($0.name)" } ?? ""); "
        + secondsText(outcome.seconds))
    if let undo = workspace.undo(image) {
      print(
        image.replaced
          ? "what it replaced is kept as \(undo): 'imgstore undo \(image.name)' restores it"
          : "'imgstore undo \(image.name)' takes the import back: the image was not there before")
    }
  }
}

/// What an import replaces of the site's, and what gives privilege in its trees.
private func printTrust(_ image: ImportedImage) {
  for item in image.siteReplacements { print("replace \(item.name) (\(item.effect.text))") }
  // What every system has, and what packages own, is counted; --json lists all.
  let usual = image.privileged.filter { $0.isStandard || $0.package != nil }
  for entry in image.privileged where !entry.isStandard && entry.package == nil {
    print("privileged  \(printable(entry.path)) (\(entry.detail); of no package)")
  }
  if !usual.isEmpty {
    print("privileged  \(count(usual.count, "entry")) that packages own, or that every system has")
  }
}
