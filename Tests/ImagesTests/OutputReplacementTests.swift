// Outputs replace regular files only, and the end of their name decides the form.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

extension TestNode {
  fileprivate func pack(
    to output: String?, _ method: PackMethod? = nil, _ codec: SegmentCodec? = nil
  ) throws -> PackOutcome {
    try workspace.pack(PackRequest("compute", output: output, method: method, codec: codec))
  }

  fileprivate func listing(_ path: String) throws -> String {
    try TestSupport.run("ls", "-A", directory.path(path)).output
  }

  fileprivate func mode(_ path: String) throws -> String {
    try TestSupport.run("stat", "-c", "%a", directory.path(path)).output
  }
}

@Suite(.usesTools) struct OutputReplacementTests {
  /// Creates a directory image with a snapshot, and a directory for outputs.
  private func directory() throws -> TestNode {
    let node = try TestNode.directory(tree: ["etc/hosts": "one\n"])
    try node.run("mkdir out; echo precious >out/file")
    _ = try node.workspace.snapshot(node.tree)
    return node
  }

  @Test(arguments: ["out", "out/", "out/."], [PackMethod.cpio, .squashfs])
  func `a packed image is written into the given directory`(
    _ output: String, _ method: PackMethod
  ) throws {
    let site = try directory()
    let outcome = try site.pack(to: site.directory.path(output), method)
    let name = method == .squashfs ? "compute.sfs" : "compute.cpio.gz"
    #expect(outcome.destination == site.directory.path("out/\(name)"))
    #expect(try site.listing("out") == "\(name)\nfile\n")
    #expect(try site.listing("") == "out\nsrv\nstore\n")
  }

  @Test func `the image itself is never replaced`() throws {
    let site = try directory()
    for output in [site.tree, site.tree + "/", site.tree + "/etc"] {
      #expect(errorCode { _ = try site.pack(to: output) } != nil)
      var export = ExportRequest("compute")
      export.destination = .file(output)
      #expect(errorCode { _ = try site.workspace.export(export) } != nil)
    }
    #expect(try site.workspace.status("compute").isClean)
    #expect(try site.listing("srv") == "compute\n")
  }

  @Test func `only a regular file is replaced`() throws {
    let site = try directory()
    try shell(
      """
      cd "$1"; mkfifo fifo.tgz; mkdir -p own/compute.cpio.gz own/compute.tgz srv/compute.cpio.gz
      """, site.directory.path(""))
    for output in ["fifo.tgz", "own", "missing/"] {
      let path = site.directory.path(output)
      #expect(errorCode { _ = try site.pack(to: path) } != nil, "\(output)")
      #expect(errorCode { _ = try site.workspace.outputFile(path, "chart") } != nil, "\(output)")
      if output == "fifo.tgz" {
        #expect(
          errorCode {
            _ = try site.workspace.restore("compute:etc/hosts", to: path, overwriting: true)
          } != nil)
      }
      guard output != "own" else { continue }
      var export = ExportRequest("compute")
      export.destination = .file(path)
      #expect(errorCode { _ = try site.workspace.export(export) } != nil, "\(output)")
    }
    #expect(errorCode { _ = try site.pack(to: nil) } != nil, "the image's own place")
    #expect(try site.listing("") == "fifo.tgz\nout\nown\nsrv\nstore\n")
    #expect(try site.listing("own") == "compute.cpio.gz\ncompute.tgz\n")
    #expect(try site.listing("srv") == "compute\ncompute.cpio.gz\n")
  }

  @Test func `a directory in the place of a packed image is not replaced`() throws {
    let node = try TestNode.toPack("mkdir -p img/rootimg.cpio.gz; echo p >img/rootimg.cpio.gz/f")
    #expect(errorCode { try node.pack() } != nil)
    #expect(try node.text("img/rootimg.cpio.gz/f") == "p\n")
    let outcome = try node.pack { $0.output = node.directory.path("") }
    #expect(outcome.destination == node.directory.path("rootimg.cpio.gz"))
  }

  // MARK: Modes

  @Test func `a new packed file of a directory is private, and a replaced one keeps its mode`()
    throws
  {
    let site = try directory()
    _ = try site.pack(to: nil)
    #expect(try site.mode("srv/compute.cpio.gz") == "600\n")
    try shell("chmod 644 \"$1\"", site.directory.path("srv/compute.cpio.gz"))
    _ = try site.pack(to: nil)
    #expect(try site.mode("srv/compute.cpio.gz") == "644\n")
    let output = site.directory.path("out/c.cpio.gz")
    _ = try site.pack(to: output)
    #expect(try site.mode("out/c.cpio.gz") == "600\n")
    try shell("chmod 640 \"$1\"", output)
    _ = try site.pack(to: output)
    #expect(try site.mode("out/c.cpio.gz") == "640\n")
    guard isRoot else { return }
    try shell("chmod 666 \"$1\"; chown 4242 \"$1\"", output)
    _ = try site.pack(to: output)
    #expect(try site.mode("out/c.cpio.gz") == "600\n", "another user's file decides nothing")
  }

  // MARK: Names

  @Test(arguments: [
    ("a.sfs", PackMethod.squashfs, SegmentCodec.gzip), ("a.squashfs", .squashfs, .gzip),
    ("a.cpio.xz", .cpio, .xz), ("a.tar.zst", .tar, .zstd), ("b.tgz", .tar, .gzip),
    ("a.xz", .cpio, .xz), ("rhel9.4-compute", .cpio, .gzip), ("x.tar/a", .cpio, .gzip),
    ("A.TAR.GZ", .tar, .gzip),
  ])
  func `the end of the output name decides the form that the caller does not give`(
    _ name: String, _ method: PackMethod, _ codec: SegmentCodec
  ) throws {
    let request = try PackRequest("img", output: "/tmp/\(name)")
    #expect(request.method == method && request.codec == codec)
  }

  @Test func `an output name of another form is refused`() throws {
    for (name, method, codec): (String, PackMethod?, SegmentCodec?) in [
      ("a.sfs", .cpio, nil), ("a.cpio.gz", .squashfs, nil), ("a.tar.zst", nil, .xz),
      ("a.tgz", .cpio, nil), ("a.tar", nil, nil), ("a.cpio", nil, nil), ("a.tar.bz2", .tar, nil),
      ("a.gz", .squashfs, nil),
    ] {
      #expect(
        errorCode { _ = try PackRequest("i", output: name, method: method, codec: codec) }?.category
          == .usage,
        "\(name)")
    }
    #expect(try PackRequest("i", output: "a.sfs", method: .squashfs, codec: .xz).codec == .xz)
    let site = try directory()
    for name in ["o.tar.zst", "o.tar.xz", "o.sfs", "o.cpio.gz", "o.tar"] {
      var export = ExportRequest("compute")
      export.destination = .file(site.directory.path(name))
      #expect(errorCode { _ = try site.workspace.export(export) }?.category == .usage, "\(name)")
    }
    #expect(try site.listing("") == "out\nsrv\nstore\n")
  }
}
