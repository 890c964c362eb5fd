// The database of dpkg, compared with dpkg-query.

import Foundation
import Packages
import TestSupport
import Testing

@Suite struct DpkgTests {
  @Test(.usesTools) func `a real tree has the packages and owners that dpkg-query names`() throws {
    let root = try smallTree()
    let tree = DirectoryTree(root: root)
    let admin = "--admindir=\(root)/var/lib/dpkg"
    let expected = try run("dpkg-query", admin, "-W")
    guard expected.didSucceed, !expected.output.isEmpty else { return }  // no debootstrap here
    let (database, packages) = try #require(try PackageDatabase.find(in: tree))
    #expect(lines(packages) == sortedLines(expected.output))

    let oracle = try run(fixture("scripts/oracles/list-dpkg-owners.py"), root)
    try #require(oracle.didSucceed, "\(oracle.errors)")
    let pairs = oracle.output.split(separator: "\n").map {
      $0.split(separator: "\t").map(String.init)
    }
    var listed: [[UInt8]: Set<String>] = [:]
    for pair in pairs { listed[Array(pair[0].utf8), default: []].insert(pair[1]) }
    #expect(listed.count > 3000)
    let owners = try database.owners(of: Set(listed.keys), in: tree)
    for (path, names) in listed {
      #expect(Set(owners[path, default: []].map(\.package.name)) == names)
    }
    let debconf = try #require(owners[Array("etc/debconf.conf".utf8)]?.first)
    #expect(debconf.isConfiguration)
    let sum = try run("md5sum", root + "/etc/debconf.conf").output.prefix(32)
    #expect(debconf.shipped == .md5(hex(sum)))
  }

  @Test(.usesTools) func `states, architectures and epochs are listed as by dpkg-query`()
    throws
  {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(
      atPath: directory.path("var/lib/dpkg"), withIntermediateDirectories: true)
    func paragraph(
      _ name: String, _ state: String, _ version: String, _ architecture: String,
      _ more: String = ""
    ) -> String {
      "Package: \(name)\nStatus: \(state)\nMaintainer: x <x@x>\nArchitecture: \(architecture)\n"
        + "\(more)Version: \(version)\nDescription: d\n more\n .\n Version: 9\n\n"
    }
    let native = try run("dpkg", "--print-architecture").output.trimmingCharacters(in: .newlines)
    let foreign = native == "amd64" ? "arm64" : "amd64"
    let status =
      paragraph("dpkg", "install ok installed", "1.21.22", native)
      + paragraph("gone", "deinstall ok config-files", "2:1.0-1", "all")
      + paragraph("never", "purge ok not-installed", "1", native)
      + paragraph("half", "install ok half-configured", "3+b1", native)
      + paragraph("held", "hold ok installed", "3~rc1", native)
      + paragraph("libc6", "install ok installed", "2.36-9", native, "Multi-Arch: same\n")
      + paragraph("libc6", "install ok installed", "2.36-9", foreign, "Multi-Arch: same\n")
      + paragraph("tool", "install ok installed", "1", foreign, "Multi-Arch: foreign\n")
    try status.write(
      toFile: directory.path("var/lib/dpkg/status"), atomically: false, encoding: .utf8)
    let (_, packages) = try #require(
      try PackageDatabase.find(in: DirectoryTree(root: directory.path)))
    let expected = try run(
      "dpkg-query", "--admindir=\(directory.path)/var/lib/dpkg", "-W", "-f",
      "${db:Status-Status} ${binary:Package}\t${Version}\n")
    let states = sortedLines(expected.output)
    func list(_ isWanted: (Substring) -> Bool) -> [String] {
      states.map { $0.split(separator: " ", maxSplits: 1) }.filter { isWanted($0[0]) }
        .map { String($0[1]) }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
    #expect(lines(packages) == list { $0 != "config-files" }, "\(expected.errors)")
    #expect(
      packages.configurationOnly.map { "\($0.name)\t\($0.version)" }
        == list { $0 == "config-files" })
    #expect(packages.packages.count == 6 && packages.remarks.isEmpty)
    #expect(packages.packages.first { $0.name == "half" }?.state == .halfConfigured)
  }

  /// The state of updates/ after an interrupted dpkg: a status, and updates by their names.
  typealias Interruption = (status: [[String]], updates: [(String, [[String]])])

  static let interruptions: [NamedCase<Interruption>] = [
    NamedCase(
      "an upgraded package",
      (
        [["alpha", "install ok installed", "1.0"]],
        [("0000", [["alpha", "install ok installed", "2.0"]])]
      )),
    NamedCase(
      "a removed package",
      (
        [["alpha", "install ok installed", "1.0"]],
        [("0000", [["alpha", "deinstall ok config-files", "1.0"]])]
      )),
    NamedCase(
      "a purged package",
      (
        [["alpha", "install ok installed", "1.0"], ["beta", "install ok installed", "1"]],
        [("0001", [["alpha", "purge ok not-installed", "1.0"]])]
      )),
    NamedCase(
      "a half-installed package",
      (
        [["alpha", "install ok installed", "1.0"]],
        [
          ("0000", [["alpha", "install reinstreq half-installed", "1.0"]]),
          ("0001", [["alpha", "install ok unpacked", "2.0"]]),
        ]
      )),
    NamedCase(
      "a newly installed package",
      (
        [["alpha", "install ok installed", "1.0"]],
        [
          ("0000", [["beta", "install ok half-configured", "0.1"]]),
          ("0010", [["beta", "install ok installed", "0.1"]]),
          ("0002", [["beta", "install ok half-installed", "0.1"]]),
          ("tmp.i", [["gamma", "install ok installed", "9"]]),
        ]
      )),
  ]

  @Test(.usesTools, arguments: interruptions)
  func `updates of an interrupted dpkg are read as by dpkg-query`(
    _ interruption: NamedCase<Interruption>
  ) throws {
    let (status, updates) = interruption.value
    let directory = try TemporaryDirectory()
    let admin = directory.path("var/lib/dpkg")
    try FileManager.default.createDirectory(
      atPath: admin + "/updates", withIntermediateDirectories: true)
    func text(_ paragraphs: [[String]]) -> String {
      paragraphs.map {
        "Package: \($0[0])\nStatus: \($0[1])\nMaintainer: x <x@x>\nArchitecture: all\n"
          + "Version: \($0[2])\nDescription: d\n"
      }.joined(separator: "\n") + "\n"
    }
    try text(status).write(toFile: admin + "/status", atomically: false, encoding: .utf8)
    for (name, paragraphs) in updates {
      try text(paragraphs).write(
        toFile: admin + "/updates/" + name, atomically: false, encoding: .utf8)
    }
    let (_, packages) = try #require(
      try PackageDatabase.find(in: DirectoryTree(root: directory.path)))
    let oracle = try run(
      "dpkg-query", "--admindir=\(admin)", "-W", "-f",
      "${binary:Package}\t${Version}\t${db:Status-Status}\n")
    try #require(oracle.didSucceed, "\(oracle.errors)")
    let found =
      packages.packages.map { "\($0.name)\t\($0.version)\t\($0.state.rawValue)" }
      + packages.configurationOnly.map { "\($0.name)\t\($0.version)\tconfig-files" }
    #expect(Set(found) == Set(sortedLines(oracle.output)))
  }

  @Test func `packages of status.d are read with their file lists`() throws {
    func text(_ s: String) -> [UInt8] { Array(s.utf8) }
    let tree = MemoryTree(files: [
      "var/lib/dpkg/status.d/base": text(
        "Package: base-files\nVersion: 12\nArchitecture: amd64\nDescription: d\n more\n"),
      "var/lib/dpkg/status.d/base.md5sums": text(
        "d41d8cd98f00b204e9800998ecf8427e  etc/motd\n"),
      "var/lib/dpkg/status.d/tzdata": text("Package: tzdata\nVersion: 2026a-0\n"),
    ])
    let (database, packages) = try #require(try PackageDatabase.find(in: tree))
    #expect(lines(packages) == ["base-files\t12", "tzdata\t2026a-0"])
    let path = Array("etc/motd".utf8)
    #expect(try database.owners(of: [path], in: tree)[path]?.first?.package.name == "base-files")
  }

  static let damages = [
    "Status: install ok installed\nVersion: 1\n", "Package: x\nStatus: install ok installed\n",
    "Package: x\nVersion: 1\n",
  ]

  @Test(arguments: damages)
  func `a damaged paragraph is reported, and the others are listed`(_ damaged: String) throws {
    let good = "Package: good\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n"
    let tree = MemoryTree(files: ["var/lib/dpkg/status": Array((good + damaged).utf8)])
    let (_, packages) = try #require(try PackageDatabase.find(in: tree))
    #expect(packages.remarks.count == 1 && packages.packages.contains { $0.name == "good" })
  }

  @Test func `diversions, links on the way and odd conffiles lead to the right owner`() throws {
    func text(_ s: String) -> [UInt8] { Array(s.utf8) }
    let tree = LinkedTree(
      files: MemoryTree(files: [
        "var/lib/dpkg/status": text(
          """
          Package: bash
          Status: install ok installed
          Architecture: amd64
          Version: 1
          Conffiles:
           /etc/a name with blanks d41d8cd98f00b204e9800998ecf8427e
           /etc/old 0123456789abcdef0123456789abcdef obsolete
           /etc/new newconffile

          Package: dash
          Status: install ok installed
          Architecture: amd64
          Version: 2

          """),
        "var/lib/dpkg/diversions": text("/bin/sh\n/bin/sh.distrib\ndash\n"),
        "var/lib/dpkg/info/bash.list": text(
          "/.\n/bin\n/bin/sh\n/etc/a name with blanks\n/etc/old\n/etc/new\n/etc/listed\n"),
        "var/lib/dpkg/info/bash.conffiles": text("/etc/listed\n"),
        "var/lib/dpkg/info/dash.list": text("/bin/sh\n"),
      ]), links: ["bin": "usr/bin"])
    let (database, _) = try #require(try PackageDatabase.find(in: tree))
    let paths = [
      "usr/bin/sh", "usr/bin/sh.distrib", "etc/a name with blanks", "etc/old", "etc/new",
      "etc/listed", "bin/sh", "etc/other",
    ]
    let owners = try database.owners(of: Set(paths.map { Array($0.utf8) }), in: tree)
    func owner(_ path: String) -> PackageOwnership? { owners[Array(path.utf8)]?.first }
    #expect(owner("usr/bin/sh")?.package.name == "dash")
    #expect(owner("usr/bin/sh.distrib")?.package.name == "bash")
    #expect(owner("etc/a name with blanks")?.isConfiguration == true)
    #expect(
      owner("etc/a name with blanks")?.shipped == .md5(hex("d41d8cd98f00b204e9800998ecf8427e")))
    #expect(owner("etc/old")?.shipped == .md5(hex("0123456789abcdef0123456789abcdef")))
    #expect(owner("etc/new")?.isConfiguration == true && owner("etc/new")?.shipped == nil)
    #expect(owner("etc/listed")?.isConfiguration == true)
    #expect(owner("bin/sh") == nil && owner("etc/other") == nil)
  }

  @Test(.usesTools, arguments: seeds)
  func `a damaged status file changes the list but never traps`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let whole = [UInt8](
      try Data(contentsOf: URL(fileURLWithPath: try smallTree() + "/var/lib/dpkg/status")))
    for _ in 0..<5 {
      var bytes = whole
      for _ in 0..<200 {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] =
          [0x0a, 0x20, 0x3a, 0, 0xff].randomElement(using: &random) ?? 0
      }
      let found = try PackageDatabase.find(in: MemoryTree(files: ["var/lib/dpkg/status": bytes]))
      #expect(found != nil)
    }
  }
}

/// A tree with links at its top.
private struct LinkedTree: RootTree {
  let files: MemoryTree
  let links: [String: String]

  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]? {
    try files.file(path, limitBytes: limitBytes)
  }

  func directory(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)] {
    if path.isEmpty { return links.map { (Array($0.key.utf8), Array($0.value.utf8)) } }
    return try files.directory(path)
  }
}

private func hex(_ text: some StringProtocol) -> [UInt8] {
  stride(from: 0, to: text.count, by: 2).compactMap {
    UInt8(text.dropFirst($0).prefix(2), radix: 16)
  }
}
