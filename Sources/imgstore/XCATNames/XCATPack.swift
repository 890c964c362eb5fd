// packimage and liteimg: the root tree becomes the file that nodes load, or gets the layout of
// statelite nodes.

import Images
import Platform
import Render
import XCAT

struct XCATPack {
  private let arguments: PackimageArguments

  init(_ arguments: PackimageArguments) { self.arguments = arguments }

  func run() throws {
    let workspace = try XCATVoice.open()
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
    // A snapshot of ours is packed with `imgstore pack`; xCAT knows no '@' in names.
    let outcome = try workspace.pack(request) { event in
      guard case .packing(let tree) = event else { return }
      Terminal.finish()
      XCATVoice.say("Packing contents of \(tree)")
      XCATVoice.say("archive method:\(arguments.method)")
      if request.method != .squashfs {
        XCATVoice.say("compress method:\(arguments.compressor ?? "gzip")")
      }
    }
    Terminal.finish()
    if arguments.tracker != nil {
      XCATVoice.warn("--tracker is passed over: no torrent description is made")
    }
    for remark in outcome.remarks { XCATVoice.warn(remark) }
    for gap in gapLines(outcome.gaps, of: outcome.snapshot) { XCATVoice.warn(gap) }
    XCATVoice.say(
      "\(outcome.destination): \(count(outcome.counts.members, "entry")), "
        + sizeText(outcome.report.writtenBytes))
  }
}

struct XCATLite {
  private let arguments: LiteimgArguments

  init(_ arguments: LiteimgArguments) { self.arguments = arguments }

  func run() throws {
    let workspace = try XCATVoice.open()
    var request = LiteRequest(arguments.image)
    request.rootFileSystem = arguments.rootFileSystem
    let outcome = try workspace.lite(request) { event in
      Terminal.finish()
      switch event {
      case .modifying(let tree): XCATVoice.say("Modifying \(tree) ...")
      case .creating(let path): XCATVoice.say("creating \(path)")
      case .modified(let tree): XCATVoice.say("Modifying \(tree) done.")
      case .packing(let tree):
        XCATVoice.say("Packing contents of \(tree) ...")
        XCATVoice.say("compress method: gzip")
      case .packed(let tree): XCATVoice.say("Packing contents of \(tree) done.")
      }
    }
    Terminal.finish()
    if arguments.isVerbose {
      for path in outcome.apply.removals { XCATVoice.say("remove \(printable(path))") }
      for path in outcome.apply.writes { XCATVoice.say("write \(printable(path))") }
    }
    for remark in outcome.remarks + (outcome.packed?.remarks ?? []) { XCATVoice.warn(remark) }
    if outcome.recorded != nil {
      XCATVoice.say("undo with: imgstore revert \(outcome.safety.name)")
    }
  }
}
