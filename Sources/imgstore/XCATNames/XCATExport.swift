// The command imgexport: writes an image, as xCAT's tables define it now, to a bundle in the working
// directory or on another host.

import Images

/// The command imgexport.
struct XCATExport {
  private let arguments: ImgexportArguments
  private let destination: (directory: String, name: String)

  init(_ arguments: ImgexportArguments) {
    self.arguments = arguments
    destination = ImgexportCommandLine.destination(
      of: arguments.destination, image: arguments.image)
  }

  func run() throws {
    let here = workingDirectory()
    let remote = try arguments.remoteHost.map { host throws(XCATError) in
      try RemoteFile(host: host, path: destination.directory + destination.name)
    }
    XCATConsole.say("Exporting \(arguments.image) to \(remote?.host ?? here)...")
    let workspace = try XCATConsole.open()
    var request = try request(workspace)
    let outcome: ExportOutcome
    if let remote {
      outcome = try send(workspace, request, to: remote)
    } else {
      request.destination = .file(
        here == "/" ? "/\(destination.name)" : "\(here)/\(destination.name)")
      outcome = try workspace.export(request, report: printEvent)
    }
    Terminal.finish()
    if arguments.isVerbose {
      for member in outcome.members { XCATConsole.say(member.name) }
    }
    for gap in outcome.gaps { XCATConsole.warn("the bundle is incomplete: \(noteText(gap))") }
    for missing in outcome.missing {
      XCATConsole.warn("\(missing.path) is not in the bundle: \(missing.reason)")
    }
    for remark in outcome.remarks { XCATConsole.warn(remark) }
    if !outcome.secrets.findings.isEmpty {
      XCATConsole.warn(
        "the bundle contains \(SecretsText.summary(outcome.secrets)): 'imgstore secrets "
          + "\(outcome.snapshot.name)' lists them")
    }
    XCATConsole.say("Done!")
  }

  private func request(_ workspace: Workspace) throws -> ExportRequest {
    let image = arguments.image
    // "image@3" is a snapshot, which xCAT does not have. A name without "@" must be in xCAT's table.
    if !image.contains("@"), try !workspace.isDefined(image) {
      throw XCATMessage(
        "Cannot find image '\(image)' from the osimage table.",
        hint: "'imgstore images' and 'lsdef -t osimage' list the images")
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
      return try RemoteBundle(workspace, say: Terminal.say).send(to: remote) { file in
        var request = request
        request.destination = .file(file)
        return try workspace.export(request, report: printEvent)
      } beforeCopy: { _ in
        Terminal.finish()
        XCATConsole.say("Moving the image bundle to the remote system location \(remote.text)")
      }
    } catch let error as BundleCopyError {
      throw XCATMessage(
        "Unable to copy the image bundle \(destination.name) to the remote host "
          + "(Maybe passwordless ssh was not setup?)",
        hint: "\(error.reason). \(error.hint)")
    }
  }

  private func printEvent(_ event: BundleEvent) {
    switch event {
    case .foundTemplate(let path), .collected(let path): XCATConsole.say(path)
    case .collectedExtra(let path): XCATConsole.say(" \(path)")
    case .packingTree: XCATConsole.say("Packing root image. It will take a while")
    case .litefileRows: XCATConsole.say("Getting litefile settings")
    case .writing(let image):
      XCATConsole.say(
        "Compressing \(ImgexportCommandLine.directoryName(of: image)) bundle.  Please be patient.")
    case .foundImage, .placing, .keptOriginal, .placingTree, .litefileRow, .addingPostscripts,
      .imported:
      break
    }
  }
}

extension Workspace {
  /// Returns the request for an extra file, `-e file[:dir]`.
  /// - Throws: `ImageError` if the text has no file, or if the directory is not absolute.
  func extra(_ text: String) throws -> ExtraRequest {
    let (file, directory) = splitExtra(text)
    guard !file.isEmpty else {
      throw ImageError(
        "extra file '\(text)'", "has no name", hint: "Write -e FILE or -e FILE:DIR")
    }
    guard directory?.hasPrefix("/") ?? true else {
      throw ImageError(
        "extra file '\(text)'",
        "would be written to '\(directory ?? "")', which is not an absolute path",
        hint: "Give the absolute path of a directory on the management node that imports it")
    }
    return ExtraRequest(source: try managementPath(file), destination: directory)
  }
}
