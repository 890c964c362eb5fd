// imgstore import. The name imgimport is in XCATImport.swift.

import ArgumentParser
import Images

struct ImportCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Create or replace an image from a bundle",
    discussion: """
      The command reads the whole bundle into the store and validates it before it changes anything \
      on the machine. It snapshots an image that it replaces, and 'imgstore undo IMAGE' undoes the \
      import. It writes only below the install directory. It refuses to replace an image unless you \
      add --force.

      BUNDLE may also be an OCI archive, a layout directory, an archive of 'docker save', a squashfs \
      image or a profile of Confluent. The command recognizes it by its content; only standard input \
      needs --oci. Such a tree becomes a directory image: give --to DIR. With --name IMAGE --force, it \
      replaces the root tree of an image of xCAT, and nothing else of it.

      A thin bundle adds its snapshot to the history of the image; with --force, the command also \
      reverts the live image to it.

      Examples:
        imgstore import compute@3.tgz --dry-run
        imgstore import compute@3.tgz -f compute2
        imgstore import chroot@1.tgz --to /srv/images/chroot
        imgstore import backup/compute@3.tgz -R root@mn2
        imgstore import rocky9.oci.tar --to /srv/images/rocky9
      """)

  @Argument(help: "Bundle, OCI image or squashfs image; '-' is standard input")
  var bundle: String
  @Option(
    name: [.customShort("f"), .long],
    help: "Import under this profile, with its own directory, lists and name")
  var profile: String?
  @Option(help: "Name of the image") var name: String?
  @Option(
    help: ArgumentHelp(
      "Directory for the tree of a directory image (default: the existing one)",
      valueName: "dir"))
  var to: String?
  @Flag(help: "Read an OCI image, also from standard input") var oci = false
  @Option(
    help: ArgumentHelp(
      "Name of the OCI image, if there are several", valueName: "name"))
  var ref: String?
  @Option(
    help: ArgumentHelp(
      "Platform of the OCI image as OS/ARCH (default: this machine's)", valueName: "platform"))
  var platform: String?
  @Option(
    help: ArgumentHelp(
      "Key file of an encrypted squashfs image (default: where imgutil puts it)",
      valueName: "file"))
  var imageKey: String?
  @Flag(help: "Replace an image of the same name, after a snapshot of it")
  var force = false
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Set the bundle's postscripts and postbootscripts for these nodes", valueName: "noderange"))
  var postscripts: String?
  @Flag(help: "With --postscripts, add them to those of the nodes instead of replacing these")
  var appendPostscripts = false
  @Flag(help: "Keep each replaced file next to the new one as FILE.ORIG, as xCAT does")
  var orig = false
  @Flag(help: "Keep columns of a replaced image that the bundle does not set")
  var merge = false
  @Option(
    help: ArgumentHelp(
      "Let the bundle write below this directory, too; repeatable", valueName: "prefix"))
  var allow: [String] = []
  @Flag(help: "Install plugins of kits, which xcatd runs as root")
  var trustPlugins = false
  @Flag(help: "Accept values that xCAT's commands would pass to a shell as more than one word")
  var allowUnsafeValues = false
  @Flag(
    help: "Accept trees with device nodes, or with setuid files that no package of the tree owns")
  var allowPrivileged = false
  @Flag(help: "Refuse a bundle without a signature by a trusted key, before any change")
  var requireSignature = false
  @OptionGroup var trusted: TrustedKeysOption
  @OptionGroup var remote: RemoteOption
  @OptionGroup var nodeset: NodesetOption
  @Flag(
    name: [.customShort("n"), .long],
    help: "Check the bundle and print the plan without changing anything")
  var dryRun = false
  @Flag(help: "With --dry-run, list every step") var all = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if appendPostscripts, postscripts == nil {
      throw ValidationError(
        "--append-postscripts needs --postscripts NODERANGE.")
    }
    for (option, value) in [
      ("--profile", profile), ("--name", name), ("--postscripts", postscripts), ("--to", to),
    ] where value == "" {
      throw ValidationError("The value of \(option) is empty.")
    }
    for prefix in allow where !prefix.hasPrefix("/") {
      throw ValidationError("invalid directory '\(prefix)'; --allow needs an absolute path.")
    }
    if bundle == "-", remote.remoteHost != nil {
      throw ValidationError("Standard input is not on another host: give '-' or -R, not both.")
    }
  }

  func run() throws {
    let workspace = try common.open()
    try nodeset.check(workspace)
    if remote.remoteHost == nil, let thin = try workspace.importThin(request(bundle)) {
      return try thin.report(json)
    }
    let outcome: ImportOutcome
    if let host = remote.remoteHost {
      let file = try RemoteFile(host: host, path: bundle)
      workspace.progress.begin("copying from \(file.host)")
      outcome = try RemoteBundle(workspace, say: Terminal.say).fetch(file) {
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
    if try !json.prints(ImportJSON(outcome, boot) { $0.safety?.name }) {
      for image in outcome.images { describe(image, workspace, outcome) }
      for origin in outcome.origins { print(text(of: origin)) }
    }
    for remark in outcome.images.flatMap(\.remarks) { Terminal.warning(remark) }
    let lost = outcome.images.flatMap(\.notes).map(noteText)
    let bootProblems = outcome.images.flatMap { boot[$0.name]?.printResult(json) ?? [] }
    let problems =
      (outcome.isDryRun ? [] : outcome.images.flatMap(\.problemLines)) + lost + bootProblems
    try expectNotRefused(outcome.refusal, problems, unless: "without --force ")
    if !problems.isEmpty { throw CompletedWithWarnings(lines: problems) }
  }

  private func request(_ file: String) -> ImportRequest {
    var request = ImportRequest(file)
    if oci { request.form = .oci }
    request.ociReference = ref
    request.platform = platform
    request.imageKey = imageKey
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
      : "has a signature by \(key) as \(subject); only --require-signature checks it"
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
    for path in image.rootTree.map({ [$0] })
      ?? image.imported?.snapshot.components.map(\.path) ?? []
    {
      print("  \(printable(path))")
    }
    for path in image.removedFiles {
      print("  removed \(printable(path)), which the bundle does not have")
    }
    printTrust(image)
    print(
      "imported \(image.name)\(image.imported.map { " as \($0.name)" } ?? ""); "
        + secondsText(outcome.seconds))
    if let undo = image.safety?.name {
      print(
        image.replaced
          ? "saved the replaced image as \(undo): 'imgstore undo \(image.name)' restores it"
          : "'imgstore undo \(image.name)' undoes the import: the image did not exist before")
    }
  }
}

/// Prints the site's files that an import replaces, and the privileged files in its trees.
private func printTrust(_ image: ImportedImage) {
  for item in image.siteReplacements { print("replace \(item.name) (\(item.effect.text))") }
  // Entries that every system has or that packages own are only counted. --json lists all.
  let usual = image.privileged.filter { $0.isStandard || $0.package != nil }
  for entry in image.privileged where !entry.isStandard && entry.package == nil {
    print("privileged  \(printable(entry.path)) (\(entry.detail); owned by no package)")
  }
  if !usual.isEmpty {
    print("privileged  \(count(usual.count, "entry")) that packages own, or that every system has")
  }
}
