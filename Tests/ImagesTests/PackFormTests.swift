// Every form that pack writes, compared with the tools that read it.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

@Suite(.usesTools) struct PackFormTests {
  /// A form, how it is checked, and how each tool extracts it ($1 the file, in an empty directory). Only
  /// GNU tar, bsdtar and unsquashfs restore attributes: the others are held against the rest.
  struct Form: Sendable, CustomTestStringConvertible {
    let method: PackMethod
    let codec: SegmentCodec
    let checks: String
    let exact: [String]
    let plain: [String]
    var name: String {
      method == .squashfs ? "rootimg.sfs" : "rootimg.\(method.rawValue).\(codec.suffix)"
    }
    var testDescription: String { "\(name) \(codec.rawValue)" }
  }

  private static let unpackers: [SegmentCodec: String] = [
    .gzip: "gzip -dc \"$1\"", .xz: "xz -dc \"$1\"", .zstd: "zstd -qdc \"$1\"",
  ]
  private static let checkers: [SegmentCodec: String] = [
    .gzip: """
    gzip -t "$1"; pigz -t "$1"; busybox gunzip -c "$1" | cmp - <(gzip -dc "$1")
    python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())' "$1" |
      cmp - <(gzip -dc "$1")
    """,
    .xz: """
    xz -t "$1"; xz --robot --list "$1" | grep -qw CRC32; busybox xzcat "$1" | cmp - <(xz -dc "$1")
    python3 -c 'import lzma,sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())' "$1" |
      cmp - <(xz -dc "$1")
    ! xz -dvv --list "$1" 2>&1 | grep -qE 'x86|arm|powerpc|ia64|sparc'
    """,
    .zstd: "zstd -qt \"$1\"",
  ]

  /// The kernel reads one frame of a RAM disk, and treats the rest as another archive.
  private static let oneFrame = "[ $(zstd -lv \"$1\" | sed -n 's/.*Frames: *//p') = 1 ]"

  static let forms: [Form] = {
    var forms: [Form] = []
    for codec in [SegmentCodec.gzip, .zstd, .xz] {
      guard let unpack = unpackers[codec], let check = checkers[codec] else { continue }
      forms.append(
        Form(
          method: .cpio, codec: codec,
          checks: check + "\n\(unpack) | bsdtar -tf - > /dev/null"
            + (codec == .zstd ? "\n\(oneFrame)" : ""),
          exact: [],
          plain: [
            "\(unpack) | cpio -idm --quiet", "\(unpack) | bsdcpio -idm --quiet",
            "\(unpack) | busybox cpio -idm 2>/dev/null",
          ]))
      forms.append(
        Form(
          method: .tar, codec: codec, checks: check,
          exact: [
            "\(unpack) | tar -xpf - --xattrs --xattrs-include='*' --numeric-owner",
            "\(unpack) | bsdtar -xpf - --numeric-owner; touch -r \"$3\" .",
          ],
          plain: [
            "\(unpack) | busybox tar xpf -",
            "\(unpack) | python3 -c 'import sys,tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode=\"r|\").extractall(\".\", numeric_owner=True)'",
          ]))
      forms.append(
        Form(
          method: .squashfs, codec: codec, checks: "unsquashfs -ll \"$1\" > /dev/null",
          exact: ["unsquashfs -quiet -no-progress -force -dest . \"$1\""], plain: []))
    }
    return forms
  }()

  /// A tree that all tools represent equally: whole seconds, and attributes that squashfs supports.
  private static let tree = quotedFixture("scripts/trees/make-tree-for-every-form.sh")

  @Test(arguments: forms)
  func `each form extracts to the tree, with the same bytes cold, warm and on one core`(
    _ form: Form
  ) throws {
    let node = try TestNode.toPack(Self.tree)
    func pack(_ change: (inout PackRequest) -> Void = { _ in }) throws -> (PackOutcome, Data) {
      let outcome = try node.pack {
        ($0.method, $0.codec) = (form.method, form.codec)
        change(&$0)
      }
      return (outcome, try node.bytes("img/\(form.name)"))
    }
    // With live changes, so that the tree can be compared with the extracted one.
    let (cold, reference) = try pack { $0.changesLiveTree = true }
    #expect(cold.isNewSnapshot)
    let (warm, again) = try pack { $0.changesLiveTree = true }
    #expect(again == reference)
    #expect(!warm.isNewSnapshot, "what is packed in the tree once, is not changed again")
    #expect(warm.report.cachedSegments == warm.report.segments)
    #expect(warm.report.cachedPlainBytes == warm.report.plainBytes)
    let (_, single) = try pack {
      $0.threads = 1
      $0.cacheLimitBytes = 0
    }
    #expect(single == reference, "one core, no cache, and as a view")
    try FileManager.default.removeItem(atPath: node.directory.path("store/cache"))
    try FileManager.default.createDirectory(
      atPath: node.directory.path("store/cache"), withIntermediateDirectories: false)
    #expect(try pack().1 == reference, "without any cache")

    let file = node.path("img/\(form.name)")
    try shell(form.checks, file)
    // Times of directories are each tool's own matter, but for GNU tar and unsquashfs.
    for (number, command) in (form.exact + form.plain).enumerated() {
      let out = node.directory.path("out\(number)")
      try shell("mkdir \"$2\"; cd \"$2\"; \(command)", file, out, node.tree)
      let isExact = form.exact.contains(command)
      let flags = isExact && isRoot ? "-aHAXn" : "-rlptgoDHn"
      let result = try run(
        "rsync",
        arguments: [flags, "--delete", "--checksum", "--itemize-changes"]
          + (isExact ? [] : ["--omit-dir-times", "--omit-link-times"]) + [
            node.tree + "/", out + "/",
          ])
      #expect(result.output == "" && result.didSucceed, "\(command): \(result.output.prefix(800))")
    }
  }

  @Test func `the kernel mounts a squashfs image and shows the tree`() throws {
    guard isRoot else { return }
    let node = try TestNode.toPack(Self.tree)
    try node.pack {
      $0.method = .squashfs
      $0.codec = .zstd
      $0.changesLiveTree = true
    }
    let mount = node.directory.path("mount")
    try shell("mkdir \"$1\"", mount)
    guard
      try run("mount", "-t", "squashfs", "-o", "loop,ro", node.path("img/rootimg.sfs"), mount)
        .didSucceed
    else { return }
    defer { _ = try? run("umount", mount) }
    let result = try run(
      "rsync", "-aHAXn", "--delete", "--checksum", "--itemize-changes", node.tree + "/", mount + "/"
    )
    #expect(result.output == "" && result.didSucceed, "\(result.output.prefix(800))")
  }

  @Test
  func `an exlist excludes the same files from squashfs and cpio, except parents of kept files`()
    throws
  {
    let node = try TestNode.toPack(
      """
      \(Self.tree)
      printf './usr/lib/deep*\\n./srv\\n./var/*\\n+./usr/lib/deep/er/hard\\n' > list
      """)
    _ = try node.workspace.define("img", ["exlist=/list"])
    try node.pack()
    try node.pack { $0.method = .squashfs }
    let cpio = try run(
      "bash", "-c", "gzip -dc \"$1\" | cpio -t --quiet | sed 's|^|./|; s|^./.$|.|' | sort", "",
      node.path("img/rootimg.cpio.gz")
    ).output.split(separator: "\n").map(String.init)
    let squashfs = try run(
      "bash", "-c", "unsquashfs -l \"$1\" | grep ^squashfs-root | sed 's|^squashfs-root|.|' | sort",
      "",
      node.path("img/rootimg.sfs")
    ).output.split(separator: "\n").map(String.init)
    #expect(cpio.contains("./usr/lib/deep/er/hard") && !cpio.contains("./usr/lib/deep/er"))
    #expect(cpio.contains("./srv/noise") && !cpio.contains("./srv"))
    let needed: Set = ["./usr/lib/deep", "./usr/lib/deep/er", "./srv"]
    #expect(Set(squashfs) == Set(cpio).union(needed), "\(Set(squashfs).symmetricDifference(cpio))")
  }

  @Test func `after a small change every form compresses little`() throws {
    let node = try TestNode.toPack(Self.tree)
    for (method, codec) in [(PackMethod.cpio, SegmentCodec.xz), (.squashfs, .gzip)] {
      try node.pack { ($0.method, $0.codec) = (method, codec) }
      try shell("echo \(method) >> \"$1/etc/new\"", node.tree)
      let next = try node.pack { ($0.method, $0.codec) = (method, codec) }
      #expect(next.isNewSnapshot)
      #expect(next.report.cachedSegments > 0 && next.report.cachedSegments < next.report.segments)
      #expect(next.report.cachedPlainBytes > next.report.plainBytes / 4, "\(method) \(codec)")
    }
  }

  @Test func `losses of cpio are counted, and capabilities are named`() throws {
    guard isRoot else { return }
    let node = try TestNode.toPack(Self.tree)
    let outcome = try node.pack()
    #expect(outcome.counts.droppedXattrs == 3)
    #expect(outcome.counts.droppedCapabilities == 1)
    #expect(
      outcome.remarks.contains {
        $0.contains("3 entries, 1 of them capabilities") && $0.contains("--method tar")
      }, "\(outcome.remarks)")
    let tar = try node.pack { $0.method = .tar }
    #expect(!tar.remarks.contains { $0.contains("attributes") }, "\(tar.remarks)")
  }

  @Test func `a snapshot is packed with the exlist that it has`() throws {
    let node = try TestNode.toPack(
      "mkdir -p lists; echo './usr/lib*' >lists/a")
    _ = try node.workspace.define("img", ["exlist=/lists/a"])
    _ = try node.open().snapshot("img")
    func packed(_ name: String) throws -> Data {
      try node.pack { request in
        request.reference = "img@1"
        request.output = node.directory.path(name)
      }
      return try Data(contentsOf: URL(fileURLWithPath: node.directory.path(name)))
    }
    let first = try packed("first.cpio.gz")
    try node.run("echo './etc*' >lists/a")
    #expect(try packed("second.cpio.gz") == first)
    try node.run("rm -r lists")
    #expect(try packed("third.cpio.gz") == first)
    #expect(errorCode { try node.pack() } == .failed)
  }
}
