// Text in snapshots that commands depend on: roles of components, and reason codes of notes.

import Codec
import Foundation
import Platform
import Store
import TestSupport
import Testing

@Suite struct StoredTextTests {
  private func snapshot(roles: [Role] = [], notes: [Snapshot.Note] = []) -> Snapshot {
    let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 1)
    return Snapshot(
      image: "img", created: time, parent: nil, message: "m",
      provenance: [.init("command", "import")],
      tables: [],
      components: roles.enumerated().map { i, role in
        Snapshot.Component(
          role: role, path: Array("/f\(i)".utf8),
          entry: Entry(
            name: [], content: .symlink(target: Array("x".utf8)), mode: 0o777, uid: 0, gid: 0,
            modified: time))
      }, notes: notes, facts: [], entryCount: 0, contentBytes: 0)
  }

  /// Returns an encoding with `text` in place of another text of the same length.
  private func replacing(_ old: String, by new: [UInt8], in bytes: [UInt8]) throws -> [UInt8] {
    var data = Data(bytes)
    let range = try #require(data.range(of: Data(old.utf8)))
    data.replaceSubrange(range, with: new)
    return Array(data)
  }

  // MARK: Roles

  @Test(arguments: [
    ("rootimg", Role.rootTree), ("formertree", .formerTree), ("kernel", .kernel),
    ("ramdisk", .ramdisk), ("hypervisor", .hypervisor), ("packed", .packed),
    ("rawimage", .rawImage), ("litefile", .litefile), ("template", .attribute(.template)),
    ("pkglist", .attribute(.pkglist)), ("synclists", .attribute(.synclists)),
    ("otherpkglist", .attribute(.otherpkglist)), ("postinstall", .attribute(.postinstall)),
    ("exlist", .attribute(.exlist)), ("partitionfile", .attribute(.partitionfile)),
    ("kit", .kit), ("extra", .extra), ("closure", .closure),
    ("target of /a b", .linkTarget(of: "/a b")),
  ])
  func `a known role has one text`(text: String, role: Role) {
    #expect(Role(text) == role)
    #expect(role.text == text)
  }

  @Test(arguments: [
    "", "Kernel", "kernel ", "tree", "target of", "target of ", "target of \u{301}/a",
    "cafe\u{301}",
    "caf\u{e9}", "a future role",
  ])
  func `an unknown role keeps its bytes`(text: String) throws {
    #expect(Array(Role(text).text.utf8) == Array(text.utf8))
    let bytes = snapshot(roles: [Role(text)]).encode()
    #expect(try Snapshot.decode(bytes).encode() == bytes)
  }

  @Test func `an unknown role is neither owned nor carried`() {
    let role = Role("a future role")
    #expect(role == .other("a future role"))
    #expect(!role.isOwned && !role.isCarried && !role.isList && !role.isLinkTarget)
    #expect(role.attribute == nil)
  }

  @Test func `roles in a store of an older program have known meanings`() throws {
    try withOldStore { store, _ in
      for image in try store.refs.images() {
        for number in try store.refs.numbers(of: image) {
          for component in try store.refs.read(image, number).snapshot.components {
            if case .other(let text) = component.role {
              Issue.record("\(image)@\(number): \(text)")
            }
          }
        }
      }
    }
  }

  // MARK: Reason codes

  @Test(arguments: [
    ("not there before the import", Snapshot.Note.ReasonCode.createdFile),
    ("a folder not there before the import", .createdDirectory),
  ])
  func `a detail of an older program is a reason code with the same bytes`(
    detail: String, code: Snapshot.Note.ReasonCode
  ) throws {
    // The bytes of a note as 0.1.0 wrote them: kind 5, path, detail.
    var note: [UInt8] = [5, 2] + Array("/f".utf8)
    note += [UInt8(detail.utf8.count)] + Array(detail.utf8)
    let written = snapshot(notes: [.init(code, path: Array("/f".utf8))])
    let bytes = written.encode()
    #expect(Data(bytes).range(of: Data(note)) != nil)
    let read = try Snapshot.decode(bytes)
    #expect(read.notes.map(\.code) == [code])
    #expect(read == written && read.encode() == bytes)
    let documented = try String(contentsOfFile: packageRoot + "/docs/format.md", encoding: .utf8)
    #expect(documented.contains("| `\(detail)` |"))
  }

  @Test func `a similar detail, and the same of another kind, is not a reason code`() throws {
    let code = Snapshot.Note.ReasonCode.createdFile.rawValue
    let similar = try replacing(
      code, by: Array(code.uppercased().utf8),
      in: snapshot(notes: [.init(.createdFile, path: Array("/f".utf8))]).encode())
    #expect(try Snapshot.decode(similar).notes.map(\.code) == [nil])
    #expect(try Snapshot.decode(similar).encode() == similar)
    for kind in [Snapshot.Note.Kind.unreadable, .mountPoint, .vanished, .ownFiles] {
      #expect(Snapshot.Note(kind, path: Array("/f".utf8), detail: code).code == nil)
    }
    #expect(Snapshot.Note(.absent, path: Array("/f".utf8), detail: "named by pkglist").code == nil)
  }

  // MARK: Stores of older programs

  @Test func `snapshots of an older program keep their bytes and ids`() throws {
    try withOldStore { store, path in
      var count = 0
      for image in try store.refs.images() {
        for number in try store.refs.numbers(of: image) {
          let committed = try store.refs.read(image, number)
          let name = String(repeating: "0", count: 10 - "\(number)".count) + "\(number)"
          let file = try Data(
            contentsOf: URL(fileURLWithPath: "\(path)/refs/\(image)/\(name)"))
          let encoded = committed.snapshot.encode()
          #expect(file.range(of: Data(encoded)) != nil, "\(image)@\(number)")
          #expect(SHA256.digest(of: encoded) == committed.id)
          #expect(file.range(of: Data(committed.id.bytes)) != nil)
          count += 1
        }
      }
      #expect(count >= 4)
    }
  }

  @Test func `an older program's snapshot before an import has reason codes`() throws {
    let directory = try TemporaryDirectory()
    let name = "rhels8.5.0-x86_64-netboot-compute"
    let store = try ObjectStore(
      KernelFileSystem.shared, path: Array(directory.path("store").utf8), create: true
    ) { _ in }
    // imgstore 0.1.0 wrote the ref: an import of Tests/Fixtures/xcat/stateless.tgz into an empty directory.
    let ref = try Data(
      contentsOf: URL(fileURLWithPath: packageRoot + "/Tests/Golden/before-import-0.1.ref"))
    try FileManager.default.createDirectory(
      atPath: directory.path("store/refs/\(name)"), withIntermediateDirectories: true)
    try ref.write(to: URL(fileURLWithPath: directory.path("store/refs/\(name)/0000000001")))
    let committed = try store.refs.read(ImageName(name), 1)
    let notes = committed.snapshot.notes
    #expect(notes.count { $0.code == .createdFile } == 10)
    #expect(notes.count { $0.code == .createdDirectory } == 3)
    #expect(ref.range(of: Data(committed.snapshot.encode())) != nil)
  }

  private func withOldStore(_ body: (ObjectStore, String) throws -> Void) throws {
    let directory = try TemporaryDirectory()
    try shell(
      "tar xzf \"$1\" -C \"$2\"", packageRoot + "/Tests/Golden/store-0.1.tar.gz", directory.path)
    let path = directory.path("store")
    try body(
      try ObjectStore(KernelFileSystem.shared, path: Array(path.utf8), create: false) { _ in }, path
    )
  }
}
