// Follows components that are symbolic links. A link is a component, and so is its target
// (`CaptureRootLocator`). A reader of the content at a path follows the links among the components.

import Platform
import Store

extension [Snapshot.Component] {
  /// Returns the component at a path, which may be a link.
  func component(at path: [UInt8]) -> Snapshot.Component? { first { $0.path == path } }

  /// Returns the component at a path, links followed; nil if there is none.
  func content(at path: [UInt8]) -> Snapshot.Component? { component(at: path).flatMap(followed) }

  /// Returns the component that contains an absolute path on the management node, links to it followed, and
  /// the names below it; nil if the image has no such component.
  func containing(
    _ names: [[UInt8]]
  ) -> (component: Snapshot.Component, below: [[UInt8]])? {
    for component in self {
      let own = writtenComponents(component.path)
      guard names.starts(with: own) else { continue }
      let below = [[UInt8]](names.dropFirst(own.count))
      return (below.isEmpty ? component : followed(component) ?? component, below)
    }
    return nil
  }

  /// Returns the component that a link leads to, or the component itself if it is not a link.
  func followed(_ component: Snapshot.Component) -> Snapshot.Component? {
    var component = component
    var hops = 0
    while case .symlink(let target) = component.entry.content {
      guard hops < 40, let next = leadingTo(target, from: component) else { return nil }
      hops += 1
      component = next
    }
    return component
  }

  private func leadingTo(_ target: [UInt8], from link: Snapshot.Component) -> Snapshot.Component? {
    guard let own = AbsolutePath(link.path) else { return nil }
    var components = target.first == 0x2f ? [] : own.parent.components
    for part in writtenComponents(target) {
      if part == [0x2e, 0x2e] {
        components = components.dropLast()
      } else {
        components.append(part)
      }
    }
    let role = Role.target(of: link.path)
    let named = filter { $0.role == role }
    return component(at: AbsolutePath(components: components).bytes)
      ?? (named.count == 1 ? named.first : nil)
  }

  /// The paths of the targets of links in the image's own directory. If the root tree or the kernel is a
  /// link, its target belongs to the image.
  var ownTargets: [AbsolutePath] {
    var links = filter { $0.role.isOwned && $0.entry.kind == .symlink }
    var targets: [AbsolutePath] = []
    var seen: Set<[UInt8]> = []
    while let link = links.popLast() {
      guard seen.insert(link.path).inserted else { continue }
      let role = Role.target(of: link.path)
      for component in self where component.role == role {
        if let path = AbsolutePath(component.path) { targets.append(path) }
        if component.entry.kind == .symlink { links.append(component) }
      }
    }
    return targets
  }

  /// The root tree, links followed; nil if the image has none.
  var rootTree: Snapshot.Component? {
    first { $0.role == .rootTree }.flatMap(followed)
  }
}

/// Locates the paths of the management node below the root.
struct LivePaths: Collaborator {
  let context: Context

  /// Returns the path of a directory with links resolved; nil if it does not exist.
  func realPath(_ directory: AbsolutePath) throws -> AbsolutePath? {
    do throws(SystemError) {
      return try context.resolver.locate(directory, followLast: true).path
    } catch {
      guard error.isAbsent else { throw error }
      return nil
    }
  }

  /// Returns the path of a location on this machine as the kernel reports it.
  func kernelPath(_ location: ResolvedPath) throws(SystemError) -> [UInt8] {
    let directory = try context.fileSystem.readLink(
      at: context.fileSystem.workingDirectory,
      Array("/proc/self/fd/\(location.directory.raw)".utf8))
    return (directory == [0x2f] ? [] : directory) + [0x2f] + location.name
  }

  /// Returns the location of a component, which need not exist. Links in the directories above it are
  /// followed; a link at the path itself is not.
  /// - Parameter create: whether to create missing directories.
  func locate(_ path: AbsolutePath, create: Bool = false) throws(SystemError) -> ResolvedPath {
    try context.resolver.resolve(path, followLast: false, create: create ? .readable : nil)
  }

  /// Returns a path of the command line as a path of the management node. An absolute path is returned
  /// without "." and "..". A relative path is below the working directory, which must lie below the root.
  /// - Throws: `ImageError` for a relative path outside the root.
  func managementPath(_ path: String) throws -> String {
    let fullPath = absolute(path)
    let root = absolute(context.options.root)
    if path.hasPrefix("/") || root == "/" { return fullPath }
    if fullPath == root { return "/" }
    guard fullPath.hasPrefix(root + "/") else {
      throw ImageError(
        path, "is \(fullPath), which is not below the root \(root)",
        hint: "Give its absolute path on the management node")
    }
    return String(fullPath.dropFirst(root.count))
  }
}
