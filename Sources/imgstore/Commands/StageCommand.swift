// imgstore stage.

import ArgumentParser
import Images

struct StageCommand: ParsableCommand, ReportingCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Let nodes boot a snapshot from 'imgstore serve'",
    discussion: """
      The command prints, and with --apply makes, what xCAT needs to boot a snapshot that a server \
      sends: an osimage of its own, IMAGE-NUMBER, with the rows of the snapshot's definition. Its \
      rootimgdir, <installdir>/netboot/imgstore/IMAGE@NUMBER, gets the kernel and the ramdisk of the \
      snapshot, which nodeset copies, and an empty root image: nodes load the real one from the \
      server, because addkcmdline ends in imgurl=URL. The image itself does not change.

      With --nodes, the nodes get the osimage (nodetype.provmethod); run the printed nodeset \
      command afterwards. --undo removes the osimage and its files when no node boots it.

      With --proxied, addkcmdline has no URL: xCAT's web server passes requests below \
      /install/netboot/imgstore on to the server (see the manual).

      Examples:
        imgstore stage compute@12 --server http://10.0.0.1:7070
        imgstore stage compute@12 --server http://10.0.0.1:7070 --apply
        imgstore stage compute@12 --undo
      """)

  @Argument(help: "Snapshot") var ref: String
  @Option(help: ArgumentHelp("Nodes that shall boot it, as a node range", valueName: "range"))
  var nodes: String?
  @Option(
    help: ArgumentHelp(
      "Server of boot files, as nodes reach it (default: http://MASTER:7070, of the site table)",
      valueName: "url"))
  var server: String?
  @Flag(help: "Requests reach the server through xCAT's web server") var proxied = false
  @Option(help: "Name of the osimage (default: IMAGE-NUMBER)") var name: String?
  @Option(
    help: ArgumentHelp(
      "Root image that nodes load (default: the one that xCAT prefers)", valueName: "file"))
  var rootimg: String?
  @Flag(help: "Make the changes") var apply = false
  @Flag(
    name: [.customShort("n"), .long], help: "Print the changes without making them (the default)")
  var dryRun = false
  @Flag(help: "Remove the osimage and its files") var undo = false
  @OptionGroup var trust: TrustOptions
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if apply, dryRun { throw ValidationError("Give --apply or --dry-run, not both.") }
    if undo, apply || dryRun || nodes != nil {
      throw ValidationError("--undo takes neither --apply, --dry-run nor --nodes.")
    }
  }

  func run() throws {
    var request = StageRequest(ref)
    (request.nodes, request.server, request.isProxied) = (nodes, server, proxied)
    (request.name, request.rootImage, request.applies) = (name, rootimg, apply)
    request.trust = trust.trust
    let workspace = try common.open()
    if undo {
      let outcome = try workspace.unstage(request)
      Terminal.finish()
      if try json.prints(outcome) { return }
      print("removed image \(outcome.image) and \(count(outcome.files.count, "file"))")
      return
    }
    let outcome = try workspace.stage(request)
    Terminal.finish()
    if try !json.prints(outcome) { describe(outcome) }
  }

  private func describe(_ outcome: StageOutcome) {
    let would = outcome.isApplied ? "" : "would be "
    print(
      outcome.isDefined
        ? "image \(outcome.image) is defined for \(outcome.snapshot) already"
        : "image \(outcome.image) \(outcome.isApplied ? "is" : "would be") defined for "
          + "\(outcome.snapshot):")
    if !outcome.isDefined {
      for attribute in outcome.attributes { print("    \(attribute.name)=\(attribute.value)") }
    }
    for file in outcome.files {
      print(
        "\(outcome.isApplied ? "wrote" : "would write") \(file.path) ("
          + (file.sizeBytes == 0 ? "empty)" : "\(sizeText(file.sizeBytes)))"))
    }
    for node in outcome.nodes.prefix(20) {
      print("node \(node.name): provmethod \(would)\(outcome.image), was \(node.before ?? "unset")")
    }
    if outcome.nodes.count > 20 { print("and \(count(outcome.nodes.count - 20, "more node"))") }
    if let command = outcome.command {
      print("\(outcome.isApplied ? "now run" : "then run"): \(command)")
    }
    if !outcome.isApplied { print("nothing was changed; --apply makes these changes") }
  }
}
