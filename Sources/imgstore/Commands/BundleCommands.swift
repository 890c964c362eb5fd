// imgstore export, import. The names imgexport and imgimport are in XCATNames.swift.

import ArgumentParser
import Glibc
import Images
import Platform
import Store
import XCAT

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write an image as one file, for another management node.",
    discussion: """
      An image's name stands for the image as it is now: it is snapshotted first where it changed. \
      IMAGE@N, IMAGE@TAG and the like export an older state. The bundle is IMAGE@N.tgz in the \
      working folder unless DEST says otherwise; it is there whole, or not at all. Where the image is \
      one of xCAT's, the bundle is what xCAT's own imgimport reads, too.

      With --complete the bundle also holds what is needed to generate and pack the image again \
      elsewhere: files that lists include or name, and the root tree.

      Secrets that the bundle carries are listed. With --scrub they are left out of all its layers, \
      in a way that nodes still boot, and listed as well.

      Examples:
        imgstore export compute
        imgstore export compute@golden /backup/ -e /root/notes.txt
        imgstore export compute --scrub
        imgstore export compute --to - | ssh mn2 imgstore import -
      """)

  @Argument(help: "The image, or a snapshot of it.") var ref: String
  @Argument(help: "A file or a folder; with -R, a path on that host.") var dest: String?
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Take a file or folder along, to be placed in DIR, or where it is here. Repeatable.",
      valueName: "file[:dir]"))
  var extra: [String] = []
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Take the names of this node's postscripts and postbootscripts along.", valueName: "node"))
  var postscripts: String?
  @Flag(help: "Take along what generating the image again needs.") var complete = false
  @Flag(help: "Sign the whole bundle ('imgstore help sign').") var sign = false
  @OptionGroup var key: KeyOption
  @Option(
    help: ArgumentHelp(
      "Follow links of the image into this folder too. Repeatable.", valueName: "dir"))
  var allow: [String] = []
  @Flag(help: "Leave secrets out of the bundle.") var scrub = false
  @Flag(help: "List all secrets that the bundle carries.") var listSecrets = false
  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp(
      "The same as DEST; '-' is standard output, and all else goes to standard error.",
      valueName: "file"))
  var to: String?
  @OptionGroup var remote: RemoteOption
  @Flag(name: [.customShort("n"), .long], help: "Say what the bundle would hold; write no bundle.")
  var dryRun = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if key.key != nil, !sign {
      throw ValidationError("--key says what --sign signs with: give both.")
    }
    if dest != nil, to != nil { throw ValidationError("DEST and --to say the same: give one.") }
    if let place, place.isEmpty { throw ValidationError("The destination is empty.") }
    if place == "-", remote.remoteHost != nil {
      throw ValidationError("Standard output is not on another host: give '-', or -R.")
    }
  }

  private var place: String? { to ?? dest }

  func run() throws {
    let workspace = try common.open()
    var request = ExportRequest(ref)
    request.destination = place == "-" ? .standardOutput : .file(place)
    request.extras = try extra.map { try workspace.extra($0) }
    request.postscriptsOf = postscripts
    request.isComplete = complete
    request.allowed = allow
    request.signingKey = sign ? try workspace.signingKey(key.key) : nil
    request.scrubs = scrub
    request.isDryRun = dryRun

    // The bundle has standard output for itself.
    if place == "-", !dryRun { JSONOutput.begin() }

    let outcome: ExportOutcome
    let destination: String
    if let host = remote.remoteHost {
      let (folder, name) = Imgexport.place(
        of: place, image: ref.split(separator: "@").first.map(String.init) ?? ref)
      let file = try RemoteFile(host: host, path: folder + name)
      destination = file.text
      outcome = try send(workspace, request, to: file)
    } else {
      outcome = try workspace.export(request) { _ in }
      destination = outcome.destination ?? "-"
    }
    Terminal.finish()
    try report(outcome, destination)
  }

  private func send(
    _ workspace: Workspace, _ request: ExportRequest, to file: RemoteFile
  ) throws -> ExportOutcome {
    if dryRun { return try workspace.export(request) { _ in } }
    return try RemoteBundle.send(workspace, to: file) { path in
      var request = request
      request.destination = .file(path)
      return try workspace.export(request) { _ in }
    } beforeCopy: { _ in
      workspace.progress.begin("copying to \(file.host)")
    }
  }

  private func report(_ outcome: ExportOutcome, _ destination: String) throws {
    // The bundle has standard output for itself.
    let isStream = destination == "-" && !dryRun
    if !isStream, json.json {
      try printJSON(ExportJSON(outcome, destination: destination))
    } else {
      for line in describe(outcome, destination) {
        if !isStream { print(line) } else if !common.quiet { Terminal.remark(line) }
      }
    }
    if !listSecrets, !scrub {
      for line in SecretsText.carried(
        outcome.secrets, by: "the bundle", in: outcome.snapshot.name)
      { Terminal.warning(line) }
    }
    let missing = outcome.missing.map { "\($0.path) is not in the bundle: \($0.why)" }
    if !dryRun, !outcome.gaps.isEmpty || complete && !missing.isEmpty {
      throw CompletedWithWarnings(
        lines: missing + outcome.gaps.map { "the bundle is incomplete: \(noteText($0))" })
    }
    for line in outcome.remarks + missing { Terminal.warning(line) }
  }

  private func describe(_ outcome: ExportOutcome, _ destination: String) -> [String] {
    let what = outcome.snapshot.name
    let secrets =
      scrub
      ? SecretsText.scrubbed(outcome.secrets)
      : listSecrets ? SecretsText.all(outcome.secrets) : []
    guard outcome.isDryRun else {
      return secrets + [
        "exported \(what) to \(destination)",
        "  \(count(outcome.members.count, "file")), \(sizeText(outcome.sizeBytes)); "
          + secondsText(outcome.seconds),
      ]
    }
    return outcome.members.map { "\($0.name)  \($0.path)" } + secrets + [
      "",
      "an export of \(what) to \(destination) would hold "
        + "\(count(outcome.members.count, "file")), \(sizeText(outcome.contentBytes))",
    ]
  }
}

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

struct RemoteOption: ParsableArguments {
  @Option(
    name: [.customShort("R"), .long, .customLong("remotehost")],
    help: ArgumentHelp(
      "The bundle is on that host; scp copies it, without a password.", valueName: "user@host"))
  var remoteHost: String?
}
