// The address of a file of an image.

import Platform

/// The path of an entry of an image: its component, and the path inside it.
public struct ImagePath: Hashable, Sendable {
  /// The component's path, as in `Snapshot.Component`.
  public let component: [UInt8]
  /// The path inside the component; the top for the component itself.
  public let path: RelativePath

  /// Creates an address.
  public init(component: [UInt8], path: RelativePath = .top) {
    self.component = component
    self.path = path
  }

  /// Creates the address of a path on the management node.
  /// - Returns: nil if the path is not inside the component.
  public init?(_ bytes: [UInt8], in component: [UInt8]) {
    guard isInside(bytes, component) else { return nil }
    let rest = bytes.dropFirst(component.count)
    guard let path = RelativePath(Array(rest.first == UInt8(ascii: "/") ? rest.dropFirst() : rest))
    else { return nil }
    self.init(component: component, path: path)
  }

  /// The name of the entry.
  public var name: [UInt8] {
    path.isTop ? AbsolutePath(component)?.lastComponent ?? [] : path.lastComponent
  }

  /// Returns the address of an entry of this directory.
  public func appending(_ name: [UInt8]) -> ImagePath {
    ImagePath(component: component, path: path.appending(name))
  }

  /// The path on the management node, for notes and messages.
  public var bytes: [UInt8] {
    if path.isTop { return component }
    return component + (component.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]) + path.bytes
  }
}
