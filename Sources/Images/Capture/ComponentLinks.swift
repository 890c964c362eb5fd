// Pieces that are symbolic links, and what they lead to. A link is a piece, and so is its target
// (`CaptureRootLocator`): whoever wants the content at a path follows the links among the pieces.

import Ingest
import Platform
import Store
import XCAT

extension [Snapshot.Component] {
  /// The piece at a path, be it a link or not.
  func piece(at path: [UInt8]) -> Snapshot.Component? { first { $0.path == path } }

  /// The piece that a path leads to, links followed; nil where there is none.
  func content(at path: [UInt8]) -> Snapshot.Component? { piece(at: path).flatMap(followed) }

  /// What a piece leads to: itself where it is no link.
  func followed(_ piece: Snapshot.Component) -> Snapshot.Component? {
    var piece = piece
    var hops = 0
    while case .symlink(let target) = piece.entry.content {
      guard hops < 40, let next = leadingTo(target, from: piece) else { return nil }
      hops += 1
      piece = next
    }
    return piece
  }

  private func leadingTo(_ target: [UInt8], from link: Snapshot.Component) -> Snapshot.Component? {
    guard let own = AbsolutePath(link.path) else { return nil }
    var components = target.first == 0x2f ? [] : own.parent.components
    for part in target.split(separator: 0x2f).map({ [UInt8]($0) }) where part != [0x2e] {
      if part == [0x2e, 0x2e] {
        components = components.dropLast()
      } else {
        components.append(part)
      }
    }
    let role = CaptureRoot.targetRole(of: link.path)
    let named = filter { $0.role == role }
    return piece(at: AbsolutePath(components: components).bytes)
      ?? (named.count == 1 ? named.first : nil)
  }

  /// The paths of what links of the image's own folder lead to: an administrator who makes the root tree or the
  /// kernel a link means its target.
  var ownTargets: [AbsolutePath] {
    var links = filter { ImageFiles.ownedRoles.contains($0.role) && $0.entry.kind == .symlink }
    var targets: [AbsolutePath] = []
    var seen: Set<[UInt8]> = []
    while let link = links.popLast() {
      guard seen.insert(link.path).inserted else { continue }
      let role = CaptureRoot.targetRole(of: link.path)
      for piece in self where piece.role == role {
        if let path = AbsolutePath(piece.path) { targets.append(path) }
        if piece.entry.kind == .symlink { links.append(piece) }
      }
    }
    return targets
  }

  /// The root tree, where the image has one.
  var rootTree: Snapshot.Component? {
    first { $0.role == ImageFiles.rootTree }.flatMap(followed)
  }
}

extension Workspace {
  /// The path of a folder with links resolved; nil where it is not there.
  func realPath(_ folder: AbsolutePath) throws -> AbsolutePath? {
    do throws(SystemError) {
      return try resolver.locate(folder, followLast: true).path
    } catch {
      guard error.isAbsent else { throw error }
      return nil
    }
  }

  /// Where a piece is, or will be: links in the folders above it are followed, the piece itself never.
  /// - Parameter create: makes missing folders.
  func locate(_ path: AbsolutePath, create: Bool = false) throws(SystemError) -> ResolvedPath {
    try resolver.resolve(path, followLast: false, create: create ? .readable : nil)
  }
}
