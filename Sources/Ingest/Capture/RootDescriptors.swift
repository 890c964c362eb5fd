// The open directories of a capture.

import Platform

/// The locations of a capture's components, resolved once before the walk.
struct RootDescriptors: Sendable {
  /// The open directory of each component that is a tree.
  var trees: [ObjectIdentifier: Descriptor] = [:]
  /// The directory and name of each component that is a single entry, by its path.
  var files: [[UInt8]: ResolvedPath] = [:]
}

/// Opens the directories of a live tree, keeping the most recent ones open: files are read in walk order.
final class DirectoryDescriptorCache {
  private let fileSystem: any FileSystem
  private let descriptors: RootDescriptors
  private var recent: [(key: ObjectIdentifier, descriptor: Descriptor)] = []

  init(_ fileSystem: any FileSystem, _ descriptors: RootDescriptors) {
    self.fileSystem = fileSystem
    self.descriptors = descriptors
  }

  func locate(
    _ directory: ScannedDirectory, _ entry: ScannedEntry
  ) throws(SystemError) -> ResolvedPath {
    if directory.parent == nil, let location = descriptors.files[entry.name] { return location }
    let parent = try open(directory)
    guard entry.isCovered else { return ResolvedPath(directory: parent, name: entry.name) }
    guard let below = try fileSystem.openUncovered(parent) else {
      throw SystemError(code: .notPermitted, "open_tree", entry.name)
    }
    return ResolvedPath(directory: below, name: entry.name)
  }

  private func open(_ directory: ScannedDirectory) throws(SystemError) -> Descriptor {
    // Go up to the nearest open directory, then down again.
    var closed: [ScannedDirectory] = []
    var here = directory
    var nearest = known(here)
    while nearest == nil, let parent = here.parent {
      closed.append(here)
      here = parent
      nearest = known(here)
    }
    guard var descriptor = nearest else { throw SystemError(code: .notFound, "open", here.name) }
    for next in closed.reversed() {
      descriptor = try fileSystem.openDirectory(at: descriptor.raw, next.name)
      if recent.count >= 32 { recent.removeFirst(16) }
      recent.append((ObjectIdentifier(next), descriptor))
    }
    return descriptor
  }

  private func known(_ directory: ScannedDirectory) -> Descriptor? {
    let key = ObjectIdentifier(directory)
    return descriptors.trees[key] ?? recent.last { $0.key == key }?.descriptor
  }
}
