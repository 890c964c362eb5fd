// Determines which attributes the file systems of a live image cannot hold, and which differences after a
// change these limits explain.

import Apply
import Platform
import Store

/// The attribute limits of each file system of an image. Belongs to one thread at a time.
final class LiveLimits {
  private let context: Context
  private let store: ObjectStore
  private let replacesLabels: Bool
  private var byDevice: [UInt64: AttributeLimits] = [:]

  /// - Parameter replacesLabels: whether trees are exchanged. Labels that the snapshot lacks then disappear
  ///   with the old tree.
  init(_ context: Context, replacesLabels: Bool = false) throws {
    self.context = context
    self.replacesLabels = replacesLabels
    store = try context.store()
  }

  /// Returns the limits of a component's file system; nil if the component is absent.
  func of(_ path: AbsolutePath) -> AttributeLimits? {
    let fileSystem = context.fileSystem
    do throws(SystemError) {
      let location = try context.resolver.resolve(path)
      guard let top = try fileSystem.statIfPresent(at: location.directory.raw, location.name) else {
        return nil
      }
      if let known = byDevice[top.device] { return known }
      let directory =
        top.kind == .directory
        ? try fileSystem.openDirectory(at: location.directory.raw, location.name)
        : location.directory
      let limits = AttributeLimits(
        fileSystem, store, in: directory, replacesLabels: replacesLabels)
      byDevice[top.device] = limits
      return limits
    } catch {
      return nil
    }
  }
}

/// Separates differences that the file systems cause.
struct LimitFilter: Collaborator {
  let context: Context

  /// Splits the differences that remain after a change into those that can be removed and those that come
  /// from the limits of the file systems.
  /// - Parameters:
  ///   - remaining: the differences, from the live image to the target.
  ///   - source: holds the objects of the live trees.
  ///   - isFromTarget: whether `remaining` leads from the target to the live image instead.
  func splitLimits(
    _ remaining: ImageDiff, _ components: [Snapshot.Component], _ source: any ObjectSource,
    _ report: ApplyReport, _ limits: LiveLimits, isFromTarget: Bool = false
  ) throws -> (remaining: ImageDiff, limits: [ApplyProblem]) {
    if remaining.entries.isEmpty { return (remaining, []) }
    var left = remaining
    left.entries = []
    var found: [ApplyProblem] = []
    // The report already lists hard links that became copies.
    let listed = Set(report.problems.lazy.filter(\.isAttribute).map(\.path))
    for change in remaining.entries {
      guard case .changed(let from, let to, var fields) = change.kind, !fields.contains(.content),
        let component = components.last(where: { isInside(change.path, $0.path) }),
        let path = AbsolutePath(component.path), let known = limits.of(path)
      else {
        left.entries.append(change)
        continue
      }
      if listed.contains(change.path) { fields.remove(.links) }
      let (current, desired) = isFromTarget ? (to, from) : (from, to)
      let (reachable, reasons) = try known.reachable(
        fields, from: current, source, to: desired)
      guard reachable.isEmpty else {
        left.entries.append(change)
        continue
      }
      found += reasons.map { ApplyProblem(path: change.path, what: $0, isAttribute: true) }
    }
    return (left, found)
  }
}
