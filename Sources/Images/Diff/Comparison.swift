// Compares two states of an image. A comparison lists the differences, and answers questions about changed
// packages and text files.

import Ingest
import Platform
import Store
import XCAT

/// An old and a new state of an image, and their differences.
public struct Comparison: Sendable {
  public let diff: ImageDiff
  let old: SnapshotReader
  let new: SnapshotReader
  /// The real paths of the new side's components, by the path of the old side under which they are compared.
  var newPaths: [[UInt8]: [UInt8]] = [:]
  /// Whether the whole image was compared, not only some paths.
  public var isWhole = true

  /// Notes on the paths that could not be compared, because one side could not read them.
  public var uncompared: [Snapshot.Note] {
    var seen: Set<Snapshot.Note> = []
    return (old.state.notes + new.state.notes).filter {
      $0.isProblem && $0.kind != .noImageFiles && seen.insert($0).inserted
    }
  }
}

/// The change of a text file, as a unified diff.
public struct TextDiff: Sendable {
  /// The absolute path on the management node.
  public let path: [UInt8]
  /// The role of a component; nil for a file of a tree.
  public let role: Role?
  /// The output of `diff -u`, headers included. Empty if the contents are equal.
  public let lines: [UInt8]
  /// Whether the contents differ and are binary. `lines` then holds one line that says so.
  public let isBinary: Bool
}

extension Workspace {
  /// Compares two snapshots, or a snapshot with the live image, or parts of them.
  /// - Parameters:
  ///   - old: REF or REF:PATH. `IMAGE@live` is the live image.
  ///   - new: REF or REF:PATH; nil for the live image.
  ///   - paths: limits the comparison to these paths, inside the root tree or absolute. Empty for no limit.
  /// - Throws: `ImageError` (`invalidReference`) if the references name different paths, and (`pathNotFound`)
  ///   for a path that neither side has.
  public func comparison(
    _ old: String, _ new: String?, paths: [String] = []
  ) throws -> Comparison {
    try ComparisonReader(context).comparison(old, new, paths: paths)
  }

  /// Returns a reader of a snapshot.
  public func reader(of snapshot: CommittedSnapshot) throws -> SnapshotReader {
    try ComparisonReader(context).reader(of: snapshot)
  }
}

/// Opens the sides of a comparison.
struct ComparisonReader: Collaborator {
  let context: Context

  func comparison(
    _ old: String, _ new: String?, paths: [String] = []
  ) throws -> Comparison {
    let (before, after) = (try PathReference(old), try new.map { try PathReference($0) })
    if let path = before.path, let other = after?.path, path != other {
      throw ImageError(
        .invalidReference, "references '\(old)' and '\(new ?? "")'", "name different paths",
        hint: "Write the path once: 'imgstore diff REF REF -- PATH'")
    }
    let parts = [before.path ?? after?.path].compactMap(\.self) + paths
    let whole = try comparison(before.snapshot, after?.snapshot)
    return parts.isEmpty ? whole : try whole.limited(to: parts)
  }

  private func comparison(_ old: Reference, _ new: Reference?) throws -> Comparison {
    let store = try context.store()
    if let new {
      let (before, beforeImage) = try side(old)
      let (after, afterImage) = try side(new)
      let paired =
        beforeImage == afterImage
          && before.state.definition.directoryPath == after.state.definition.directoryPath
        ? after.state : after.state.paired(with: before.state)
      return Comparison(
        diff: try ImageComparer(context).diff(before.state, paired), old: before,
        new: SnapshotReader(state: paired, store: store, live: after.live),
        newPaths: Dictionary(
          zip(paired.components, after.state.components).filter { $0.path != $1.path }
            .map { ($0.path, $1.path) }, uniquingKeysWith: { first, _ in first }))
    }
    let before = try BaselineLookup(context).findBaseline(old, remotes: .readInPlace)
    let oldReader = SnapshotReader(
      state: StatusReader(context).state(before, store), store: store, live: nil)
    let (diff, live, source) = try StatusReader(context).lookAtLive(before)
    return Comparison(
      diff: diff, old: oldReader,
      new: SnapshotReader(state: live.state(from: source), store: store, live: context.resolver))
  }

  /// Returns one side of a comparison, and the name of its image.
  private func side(_ reference: Reference) throws -> (SnapshotReader, image: String) {
    let store = try context.store()
    guard reference.selector == .live else {
      let found = try SnapshotResolver(context).find(reference, remotes: .readInPlace)
      return (
        SnapshotReader(state: StatusReader(context).state(found, store), store: store, live: nil),
        found.snapshot.image
      )
    }
    let image = try ImageResolver(context).image(named: reference.image)
    let latest = try store.refs.latestReadable(of: image)
    let memory = MemoryObjects(over: store)
    let live = try ImageCapturer(context).captureLive(
      image,
      CaptureScope(
        context.tables().definition(of: image.text) ?? ImageDefinition(),
        additional: latest?.snapshot.requests ?? [], rows: latest?.snapshot.keptRows.keys ?? []),
      latest: latest, into: .memory(memory))
    return (
      SnapshotReader(
        state: live.state(from: memory, named: "\(image)@live"), store: store,
        live: context.resolver),
      image.text
    )
  }

  func reader(of snapshot: CommittedSnapshot) throws -> SnapshotReader {
    let store = try context.store()
    return SnapshotReader(
      state: StatusReader(context).state(snapshot, store), store: store, live: nil)
  }
}

extension ImageState {
  /// Returns the state with each component under the path that `other` has for its role. A tree is then
  /// compared with a tree, and a kernel with a kernel.
  fileprivate func paired(with other: ImageState) -> ImageState {
    let taken = Set(components.map(\.path))
    let paired = components.map { component -> Snapshot.Component in
      let candidates = other.components.filter { $0.role == component.role }
      func name(_ component: Snapshot.Component) -> [UInt8] {
        ImagePath(component: component.path).name
      }
      let match =
        candidates.count == 1
          && components.count(where: { $0.role == component.role }) == 1
        ? candidates.first : candidates.first { name($0) == name(component) }
      guard let match, !taken.contains(match.path) else { return component }
      var renamed = component
      renamed.path = match.path
      return renamed
    }
    return ImageState(
      name: name, definition: definition, rows: rows, components: paired, source: source,
      notes: notes)
  }
}

extension Comparison {
  /// Returns the comparison without the changes outside the given paths.
  fileprivate func limited(to paths: [String]) throws -> Comparison {
    var coveredPaths: Set<[UInt8]> = []
    for path in paths {
      var isKnown = false
      for side in [old, new] {
        guard let (component, parts) = try side.locateIfPresent(path) else { continue }
        // Directories on the path may be links. Changes are listed under the paths that they lead to.
        if let found = try side.find(path) {
          isKnown = true
          coveredPaths.insert(found.path)
        }
        if let path = RelativePath(names: parts) {
          coveredPaths.insert(ImagePath(component: component.path, path: path).bytes)
        }
      }
      guard isKnown else {
        throw ImageError(
          .pathNotFound, "path \(path)", "is neither in \(diff.old) nor in \(diff.new)",
          hint: "Paths are inside the root tree, or absolute on the management node")
      }
    }
    var diff = diff
    diff.attributes = []
    diff.entries = diff.entries.filter { change in
      coveredPaths.contains { isInside(change.path, $0) }
    }
    return Comparison(diff: diff, old: old, new: new, newPaths: newPaths, isWhole: false)
  }

  /// The paths of both sides' root trees on the management node.
  public var treePaths: Set<[UInt8]> { diff.trees }

  /// The length above which a file is not compared line by line.
  static let textLimitBytes = 64 << 20

  /// Returns one file as a unified diff, with `context` unchanged lines around each change.
  /// - Throws: `ImageError` if an entry at the path is not a file, and (`pathNotFound`) if neither side has
  ///   the path.
  public func text(_ path: String, context: Int = 3) throws -> TextDiff {
    let before = try old.find(path, followLast: true)
    let after = try new.find(path, followLast: true)
    guard let shown = after ?? before else {
      throw ImageError(
        .pathNotFound, "\(diff.old):\(path)", "is in neither \(diff.old) nor \(diff.new)")
    }
    for (side, entry) in [(old, before), (new, after)] {
      if let entry, entry.entry.kind != .file {
        throw ImageError(
          "\(side.state.name):\(path)", "is a \(entry.entry.kind.noun), not a text file")
      }
    }
    return try text(before, after, path: shown.path, role: nil, context)
  }

  /// Returns a changed file as a unified diff. Returns nil for an entry that is not a file, for equal
  /// contents, and for a component, which `lists` covers.
  public func text(of change: TreeChange, context: Int = 3) throws -> TextDiff? {
    let entries: (old: Entry?, new: Entry?) =
      switch change.kind {
      case .added(let entry): (nil, entry)
      case .removed(let entry): (entry, nil)
      case .changed(let old, let new, _): (old, new)
      }
    let sides = [entries.old, entries.new].compactMap(\.self)
    let components = old.state.components + new.state.components
    guard sides.allSatisfy({ $0.kind == .file && $0.blob != nil }),
      entries.old?.blob != entries.new?.blob,
      !components.contains(where: { $0.path == change.path })
    else { return nil }
    return try text(
      entries.old.map { LocatedEntry(address: change.address, entry: $0) },
      entries.new.map { LocatedEntry(address: change.address, entry: $0) }, path: change.path,
      role: nil,
      context)
  }

  /// Returns the changed lists and scripts of the image. Trees, kernels and packed images are not among them.
  public func lists(context: Int = 3) throws -> [TextDiff] {
    var texts: [TextDiff] = []
    let components = old.state.components + new.state.components
    var seen: Set<[UInt8]> = []
    for component in components.sorted(by: { precedes($0.path, $1.path) })
    where !isMachine(component, in: components) && seen.insert(component.path).inserted {
      let before = old.state.components.first { $0.path == component.path }.map(Comparison.found)
      let after = new.state.components.first { $0.path == component.path }.map(Comparison.found)
      guard before?.entry.blob != after?.entry.blob,
        [before, after].allSatisfy({ $0 == nil || $0?.entry.blob != nil })
      else { continue }
      texts.append(try text(before, after, path: component.path, role: component.role, context))
    }
    return texts
  }

  /// Returns whether a component is not for people to read, by its own role or by the role of a link to it.
  private func isMachine(_ component: Snapshot.Component, in components: [Snapshot.Component])
    -> Bool
  {
    var (role, hops) = (component.role, 0)
    while role.isLinkTarget, hops < 40,
      let link = components.first(where: { Role.target(of: $0.path) == role })
    {
      role = link.role
      hops += 1
    }
    return role.isOwned && role != .litefile
  }

  private static func found(_ component: Snapshot.Component) -> LocatedEntry {
    LocatedEntry(address: ImagePath(component: component.path), entry: component.entry)
  }

  /// Returns the real path of an entry of the new side.
  /// - Parameter address: the address under which the entry is compared.
  private func newPath(_ address: ImagePath) -> [UInt8] {
    ImagePath(component: newPaths[address.component] ?? address.component, path: address.path).bytes
  }

  private func text(
    _ before: LocatedEntry?, _ after: LocatedEntry?, path: [UInt8], role: Role?, _ context: Int
  ) throws -> TextDiff {
    func result(_ lines: [UInt8], isBinary: Bool = false) -> TextDiff {
      TextDiff(path: path, role: role, lines: lines, isBinary: isBinary)
    }
    if let before, let after, before.entry.blob == after.entry.blob { return result([]) }
    let oldName = before.map { "\(diff.old):\(printable($0.path))" } ?? "/dev/null"
    let newName = after.map { "\(diff.new):\(printable(newPath($0.address)))" } ?? "/dev/null"
    let differ = Array("Binary files \(oldName) and \(newName) differ\n".utf8)
    let limit = UInt64(Comparison.textLimitBytes)
    guard [before, after].allSatisfy({ ($0?.entry.sizeBytes ?? 0) <= limit }) else {
      return result(differ, isBinary: true)
    }
    let a = try before.map { try old.bytes(of: $0, limitBytes: Comparison.textLimitBytes) }
    let b = try after.map { try new.bytes(of: $0, limitBytes: Comparison.textLimitBytes) }
    if [a, b].contains(where: { $0.map(isBinary) ?? false }) {
      return result(differ, isBinary: true)
    }
    return result(
      unifiedDiff(
        a ?? [], b ?? [], oldName: oldName, newName: newName, context: context))
  }
}

/// Returns whether a content is binary by the rule of grep and diff: it has a NUL near its beginning.
func isBinary(_ bytes: [UInt8]) -> Bool { bytes.prefix(32 << 10).contains(0) }
