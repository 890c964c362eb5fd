// imgstore export: a snapshot becomes the bundle that stock xCAT reads.

import Codec
import Platform
import Render
import Store
import XCAT

/// What an export did.
public struct PlainExportOutcome: Sendable {
  public let snapshot: CommittedSnapshot
  /// The file; nil for standard output.
  public let destination: String?
  public let sizeBytes: UInt64
  public let contentBytes: UInt64
  public let members: Int
  public let seconds: Double
}

extension Workspace {
  /// Writes the bundle of a snapshot.
  /// - Parameters:
  ///   - destination: a file, a folder, "-" for standard output, or nil for `NAME.tgz` here.
  /// - Throws: `XCATError` where the image lacks what a bundle must have; nothing is left behind.
  public func export(_ text: String, to destination: String?) throws -> PlainExportOutcome {
    let start = monotonicSeconds()
    let snapshot = try find(try Reference(text))
    let facts = BundleFacts(snapshot.snapshot.facts)
    let files = snapshot.snapshot.pieces.compactMap { piece in
      AbsolutePath(piece.path).map { (role: piece.role, path: $0) }
    }
    let layout = try BundleLayout.stateless(
      image: snapshot.snapshot.image, snapshot.snapshot.definition, files: files,
      values: facts.values, extras: facts.extras)
    let rendered = try layout.members.map { member in
      guard let piece = snapshot.snapshot.piece(at: member.path.bytes) else {
        throw ImageError(
          snapshot.name, "does not hold \(member.path.text), which its \(member.role) names",
          advice: "Put the file in its place, take a snapshot, and export that one")
      }
      return RenderedFile(name: member.name, entry: piece.entry)
    }
    let sizeBytes = try write(destination, layout, rendered, snapshot.snapshot.created)
    return PlainExportOutcome(
      snapshot: snapshot, destination: sizeBytes.path, sizeBytes: sizeBytes.count,
      contentBytes: rendered.reduce(0) { $0 &+ $1.entry.sizeBytes }, members: rendered.count + 1,
      seconds: monotonicSeconds() - start)
  }

  private func write(
    _ destination: String?, _ layout: BundleLayout, _ files: [RenderedFile], _ created: Timestamp
  ) throws -> (path: String?, count: UInt64) {
    let count = Monitor<UInt64>(0)
    let writer = BundleWriter(try store(), progress: progress)
    let fileSystem = fileSystem
    func render(to file: Int32) throws {
      try writer.write(
        folder: layout.folder, manifest: layout.manifest.render(), files: files, modified: created
      ) { bytes in
        try fileSystem.write(file, bytes)
        count.withLock { $0 += UInt64(bytes.count) }
      }
    }
    if destination == "-" {
      try render(to: 1)
      return (nil, count.withLock { $0 })
    }
    let name = layout.folder + ".tgz"
    var path = absolute(destination ?? name)
    if try fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, Array(path.utf8), followLink: true)?.kind == .directory
    {
      path = absolute(path + "/" + name)
    }
    // Written beside and renamed: a bundle is there whole, or not at all.
    let bytes = Array(path.utf8)
    let temporary = bytes + Array(".\(randomName()).part".utf8)
    let file = try fileSystem.openFile(
      at: fileSystem.workingDirectory, temporary, [.write, .create, .exclusive], mode: 0o644)
    do {
      try render(to: file.raw)
      try fileSystem.sync(file.raw)
      try fileSystem.rename(
        at: fileSystem.workingDirectory, temporary, to: fileSystem.workingDirectory, bytes,
        exclusively: false)
    } catch {
      try? fileSystem.remove(at: fileSystem.workingDirectory, temporary, isDirectory: false)
      throw error
    }
    return (path, count.withLock { $0 })
  }
}
