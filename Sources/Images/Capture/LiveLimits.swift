// What the file systems of a live image make of attributes, and which differences of a proof that explains.

import Apply
import Platform
import Store

/// The attribute limits of each file system that an image lies on. Belongs to one thread at a time.
final class LiveLimits {
  private let workspace: Workspace
  private let store: ObjectStore
  private let replacesLabels: Bool
  private var byDevice: [UInt64: AttributeLimits] = [:]

  /// - Parameter replacesLabels: trees are exchanged, and labels that a snapshot lacks go with the old.
  init(_ workspace: Workspace, replacesLabels: Bool = false) throws {
    self.workspace = workspace
    self.replacesLabels = replacesLabels
    store = try workspace.store()
  }

  /// Returns the limits of the file system that a piece lies on; nil where the piece is absent.
  func of(_ path: AbsolutePath) -> AttributeLimits? {
    let fileSystem = workspace.fileSystem
    do throws(SystemError) {
      let place = try workspace.resolver.resolve(path)
      guard let top = try fileSystem.statIfPresent(at: place.directory.raw, place.name) else {
        return nil
      }
      if let known = byDevice[top.device] { return known }
      let directory =
        top.kind == .directory
        ? try fileSystem.openDirectory(at: place.directory.raw, place.name) : place.directory
      let limits = AttributeLimits(
        fileSystem, store, in: directory, replacesLabels: replacesLabels)
      byDevice[top.device] = limits
      return limits
    } catch {
      return nil
    }
  }
}

extension Workspace {
  /// Splits what still differs after a change: what could come closer, and what the file systems cannot
  /// hold.
  /// - Parameters:
  ///   - remaining: what differs, from the live image to the target.
  ///   - isFromTarget: it leads from the target to the live image instead.
  ///   - source: has the live trees' objects.
  func splitLimits(
    _ remaining: ImageDiff, _ pieces: [Snapshot.Component], _ source: any ObjectSource,
    _ report: ApplyReport, _ limits: LiveLimits, isFromTarget: Bool = false
  ) throws -> (remaining: ImageDiff, limits: [ApplyProblem]) {
    if remaining.entries.isEmpty { return (remaining, []) }
    var left = remaining
    left.entries = []
    var found: [ApplyProblem] = []
    // Links that became copies were listed when they did.
    let listed = Set(report.problems.lazy.filter(\.isAttribute).map(\.path))
    for change in remaining.entries {
      guard case .changed(let from, let to, var fields) = change.kind, !fields.contains(.content),
        let piece = pieces.last(where: { isInside(change.path, $0.path) }),
        let path = AbsolutePath(piece.path), let known = limits.of(path)
      else {
        left.entries.append(change)
        continue
      }
      if listed.contains(change.path) { fields.remove(.links) }
      let (current, wanted) = isFromTarget ? (to, from) : (from, to)
      let (reachable, reasons) = try known.reachable(
        fields, from: current, source, to: wanted)
      guard reachable.isEmpty else {
        left.entries.append(change)
        continue
      }
      found += reasons.map { ApplyProblem(path: change.path, what: $0, isAttribute: true) }
    }
    return (left, found)
  }
}
