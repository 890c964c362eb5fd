// The names of packed files: a name of a format that pack cannot write is refused, and the outcome names the
// format that was written and the mode of the file.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

@Suite(.usesTools) struct PackedNameTests {
  @Test(arguments: [
    "r.iso", "r.erofs", "r.ext4", "r.qcow2", "r.vhd", "r.dmg", "r.zip", "r.ISO",
    "dir.d/r.rpm", "c.tar", "c.cpio", "c.tar.bz2",
  ])
  func `a name of another format is refused`(_ name: String) {
    #expect(errorCode { _ = try PackRequest("img", output: name) } == .usage)
    #expect(
      errorCode { _ = try PackRequest("img", output: name, method: .cpio, codec: .gzip) } == .usage)
    var export = ExportRequest("img")
    export.destination = .file(name)
    #expect(errorCode { try TemporaryDirectory.exporting(export) } == .usage)
  }

  @Test(arguments: ["initrd.img", "r.raw", "kernel.BIN"])
  func `a name for any format needs the format`(_ name: String) throws {
    #expect(errorCode { _ = try PackRequest("img", output: name) } == .usage)
    #expect(errorCode { _ = try PackRequest("img", output: name, codec: .zstd) } == .usage)
    for method in PackMethod.allCases {
      #expect(try PackRequest("img", output: name, method: method).method == method)
    }
    var export = ExportRequest("img")
    export.destination = .file(name)
    #expect(errorCode { try TemporaryDirectory.exporting(export) } == .usage)
  }

  @Test func `names that say no format, and directories, are allowed`() throws {
    for name in ["rootimg", "my.image", "v1.2", "dir.img/", "/srv/x.iso/"] {
      let request = try PackRequest("img", output: name)
      #expect(request.method == .cpio && request.codec == .gzip)
    }
  }

  @Test func `an uncompressed name is answered with the names that can be written`() {
    do {
      _ = try PackRequest("img", output: "c.tar")
      Issue.record("accepted")
    } catch {
      let hint = (error as? any ExplainedError)?.hint ?? ""
      for name in ["c.tar.gz", "c.tar.xz", "c.tar.zst"] { #expect(hint.contains("'\(name)'")) }
    }
  }

  @Test func `the outcome names the format and the mode of the file`() throws {
    let node = try TestNode.toPack()
    let path = node.directory.path("out.sfs")
    var request = try PackRequest("img", output: path, codec: .zstd)
    var outcome = try node.workspace.pack(request)
    #expect(outcome.method == .squashfs && outcome.codec == .zstd)
    #expect(outcome.isPrivate && outcome.mode == 0o600)
    // A file of the caller keeps its mode: nothing new is private.
    try shell("chmod 644 \"$1\"", path)
    outcome = try node.workspace.pack(request)
    #expect(!outcome.isPrivate && outcome.mode == 0o644)
    request = PackRequest("img")
    outcome = try node.workspace.pack(request)
    #expect(outcome.method == .cpio && outcome.codec == .gzip)
    #expect(!outcome.isPrivate && outcome.mode == 0o644)
  }
}

extension TemporaryDirectory {
  /// Exports from an empty store: only the request is checked.
  fileprivate static func exporting(_ request: ExportRequest) throws {
    let directory = try TemporaryDirectory()
    _ = try Workspace.test(directory).export(request)
  }
}
