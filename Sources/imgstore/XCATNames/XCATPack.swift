// The commands packimage and liteimg: pack the root tree into the file that nodes load, or give it the layout
// of statelite nodes.

import Images

/// The command packimage.
struct XCATPack {
  let arguments: PackimageArguments

  func run() throws {
    let workspace = try XCATConsole.open()
    var request = PackRequest(arguments.image)
    request.isPackimage = true
    request.method = PackMethod(rawValue: arguments.method) ?? .cpio
    request.codec =
      switch arguments.compressor {
      case "xz": .xz
      case "zstd": .zstd
      default: .gzip
      }
    request.skipsSyncfiles = arguments.skipsSyncfiles
    // Only `imgstore pack` packs snapshots: xCAT does not allow '@' in names.
    let outcome = try workspace.pack(request) { event in
      guard case .packing(let tree) = event else { return }
      Terminal.finish()
      XCATConsole.say("Packing contents of \(tree)")
      XCATConsole.say("archive method:\(arguments.method)")
      if request.method != .squashfs {
        XCATConsole.say("compress method:\(arguments.compressor ?? "gzip")")
      }
    }
    Terminal.finish()
    if arguments.tracker != nil {
      XCATConsole.warn("--tracker is ignored: no torrent file is created")
    }
    for remark in outcome.remarks { XCATConsole.warn(remark) }
    for gap in gapLines(outcome.gaps, of: outcome.snapshot) { XCATConsole.warn(gap) }
    XCATConsole.say(
      "\(outcome.destination): \(count(outcome.counts.members, "entry")), "
        + "\(sizeText(outcome.report.writtenBytes)), packed from \(outcome.snapshot.name)")
  }
}

/// The command liteimg.
struct XCATLite {
  let arguments: LiteimgArguments

  func run() throws {
    let workspace = try XCATConsole.open()
    var request = LiteRequest(arguments.image)
    request.rootFileSystem = arguments.rootFileSystem
    let outcome = try workspace.lite(request) { event in
      Terminal.finish()
      switch event {
      case .modifying(let tree): XCATConsole.say("Modifying \(tree) ...")
      case .creating(let path): XCATConsole.say("creating \(path)")
      case .modified(let tree): XCATConsole.say("Modifying \(tree) done.")
      case .packing(let tree):
        XCATConsole.say("Packing contents of \(tree) ...")
        XCATConsole.say("compress method: gzip")
      case .packed(let tree): XCATConsole.say("Packing contents of \(tree) done.")
      }
    }
    Terminal.finish()
    if arguments.isVerbose {
      for path in outcome.apply.removals { XCATConsole.say("remove \(printable(path))") }
      for path in outcome.apply.writes { XCATConsole.say("write \(printable(path))") }
    }
    for remark in outcome.remarks + (outcome.packed?.remarks ?? []) { XCATConsole.warn(remark) }
    if outcome.recorded != nil {
      XCATConsole.say("undo with: imgstore revert \(outcome.safety.name)")
    }
  }
}
