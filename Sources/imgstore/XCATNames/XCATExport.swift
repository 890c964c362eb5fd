// imgexport: an image as xCAT's tables have it now becomes a bundle in the working folder, or on
// another host.

import Images
import Platform
import XCAT

struct XCATExport {
  private let arguments: ImgexportArguments
  private let place: (folder: String, name: String)

  init(_ arguments: ImgexportArguments) {
    self.arguments = arguments
    place = Imgexport.place(of: arguments.destination, image: arguments.image)
  }

  func run() throws {
    let here = workingDirectory()
    let remote = try arguments.remoteHost.map { host throws(XCATError) in
      try RemoteFile(host: host, path: place.folder + place.name)
    }
    XCATConsole.say("Exporting \(arguments.image) to \(remote?.host ?? here)...")
    let workspace = try XCATConsole.open()
    var request = try request(workspace)
    let outcome: ExportOutcome
    if let remote {
      outcome = try send(workspace, request, to: remote)
    } else {
      request.destination = .file(here == "/" ? "/\(place.name)" : "\(here)/\(place.name)")
      outcome = try workspace.export(request, report: tell)
    }
    Terminal.finish()
    if arguments.isVerbose {
      for member in outcome.members { XCATConsole.say(member.name) }
    }
    for gap in outcome.gaps { XCATConsole.warn("the bundle is incomplete: \(noteText(gap))") }
    for missing in outcome.missing {
      XCATConsole.warn("\(missing.path) is not in the bundle: \(missing.why)")
    }
    for remark in outcome.remarks { XCATConsole.warn(remark) }
    if !outcome.secrets.findings.isEmpty {
      XCATConsole.warn(
        "the bundle carries \(SecretsText.summary(outcome.secrets)): 'imgstore secrets "
          + "\(outcome.snapshot.name)' lists them")
    }
    XCATConsole.say("Done!")
  }

  private func request(_ workspace: Workspace) throws -> ExportRequest {
    let image = arguments.image
    // "image@3" is a snapshot, which is ours to offer; a plain name is a row of xCAT's.
    if !image.contains("@"), try !workspace.isDefined(image) {
      throw XCATMessage(
        "Cannot find image '\(image)' from the osimage table.",
        advice: "'imgstore images' and 'lsdef -t osimage' list what there is")
    }
    var request = ExportRequest(image)
    request.carriesFacts = false
    request.requiresFittingName = false
    request.postscriptsOf = arguments.node.flatMap { $0.isEmpty ? nil : $0 }
    request.extras = try arguments.extras.map { try workspace.extra($0) }
    return request
  }

  private func send(
    _ workspace: Workspace, _ request: ExportRequest, to remote: RemoteFile
  ) throws -> ExportOutcome {
    do {
      return try RemoteBundle.send(workspace, to: remote) { file in
        var request = request
        request.destination = .file(file)
        return try workspace.export(request, report: tell)
      } beforeCopy: { _ in
        Terminal.finish()
        XCATConsole.say("Moving the image bundle to the remote system location \(remote.text)")
      }
    } catch let error as TransferError {
      throw XCATMessage(
        "Unable to copy the image bundle \(place.name) to the remote host "
          + "(Maybe passwordless ssh was not setup?)",
        advice: "\(error.finding). \(error.advice)")
    }
  }

  private func tell(_ event: BundleEvent) {
    switch event {
    case .foundTemplate(let path), .collected(let path): XCATConsole.say(path)
    case .collectedExtra(let path): XCATConsole.say(" \(path)")
    case .packingTree: XCATConsole.say("Packing root image. It will take a while")
    case .litefileRows: XCATConsole.say("Getting litefile settings")
    case .writing(let image):
      XCATConsole.say("Compressing \(Imgexport.folderName(of: image)) bundle.  Please be patient.")
    case .foundImage, .placing, .keptOriginal, .placingTree, .litefileRow, .addingPostscripts,
      .imported:
      break
    }
  }
}

extension Workspace {
  /// `-e file[:dir]`.
  func extra(_ text: String) throws -> ExtraRequest {
    let (file, folder) = splitExtra(text)
    guard !file.isEmpty else {
      throw ImageError(
        "extra file '\(text)'", "has no name", advice: "Write -e FILE or -e FILE:FOLDER")
    }
    guard folder?.hasPrefix("/") ?? true else {
      throw ImageError(
        "extra file '\(text)'", "would go to '\(folder ?? "")', which is no absolute path",
        advice: "Name the folder that it belongs in on the management node that imports it")
    }
    return ExtraRequest(source: try managementPath(file), destination: folder)
  }
}
