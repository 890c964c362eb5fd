// The mounts of one mount namespace, as /proc/PID/mountinfo lists them (proc(5)).
//
// Truncated lines, and lines with a relative mount point, are ignored.

/// The mounts that one process sees.
public struct MountTable: Sendable {
  /// One line of the table.
  public struct Mount: Sendable {
    public let id: Int
    public let parent: Int
    /// "MAJOR:MINOR", as the kernel prints it.
    public let device: [UInt8]
    /// The directory of the file system that is mounted.
    public let root: [UInt8]
    /// The mount point.
    public let point: [UInt8]
    /// The type of the file system.
    public let type: [UInt8]
    /// The options of the file system, such as an overlay's layers.
    public let options: [UInt8]
  }
  /// The mounts, in the order of the table.
  public let mounts: [Mount]

  private static let ownPath = Array("/proc/self/mountinfo".utf8)
  private static let limitBytes = 64 << 20

  /// Reads the table of this process.
  /// - Returns: nil if the table cannot be read, or is empty.
  public static func current(_ fileSystem: any FileSystem) -> MountTable? {
    guard
      let text = try? fileSystem.readSmallFile(
        at: fileSystem.workingDirectory, ownPath, limitBytes: limitBytes)
    else { return nil }
    let table = MountTable(parsing: text)
    return table.mounts.isEmpty ? nil : table
  }

  /// Parses the text of a mount table.
  public init(parsing text: [UInt8]) {
    mounts = text.split(separator: 0x0a).compactMap { line in
      let fields = line.split(separator: 0x20)
      guard fields.count >= 7, let id = Int(String(decoding: fields[0], as: UTF8.self)),
        let parent = Int(String(decoding: fields[1], as: UTF8.self)),
        let dash = fields.firstIndex(where: { $0.elementsEqual([0x2d]) }), dash + 2 < fields.count,
        fields[4].first == 0x2f
      else { return nil }
      return Mount(
        id: id, parent: parent, device: Array(fields[2]), root: unescapedOctal(fields[3]),
        point: unescapedOctal(fields[4]), type: Array(fields[dash + 1]),
        options: fields.count > dash + 3 ? Array(fields[dash + 3]) : [])
    }
  }

  /// Returns the mount that contains a path of this namespace.
  public func mount(of path: [UInt8]) -> Mount? {
    // The latest of several mounts on one point hides the others.
    mounts.filter { isInside(path, $0.point) }.enumerated()
      .max { ($0.element.point.count, $0.offset) < ($1.element.point.count, $1.offset) }?.element
  }

  /// Returns the mount that contains a path, and the path within its file system.
  public func locationInFileSystem(of path: [UInt8]) -> (mount: Mount, path: [UInt8])? {
    mount(of: path).map { ($0, MountTable.joined($0.root, path, below: $0.point)) }
  }

  /// Returns whether a file system is mounted on a path.
  public func isMountPoint(_ path: [UInt8]) -> Bool { mounts.contains { $0.point == path } }

  /// Returns the directory of the parent's file system that a mount covers.
  public func coveredDirectory(of mount: Mount) -> (device: [UInt8], path: [UInt8])? {
    guard let parent = mounts.first(where: { $0.id == mount.parent }),
      isInside(mount.point, parent.point)
    else { return nil }
    return (parent.device, MountTable.joined(parent.root, mount.point, below: parent.point))
  }

  private static func joined(
    _ root: [UInt8], _ path: [UInt8], below point: [UInt8]
  ) -> [UInt8] {
    let rest = point == [0x2f] ? path[...] : path.dropFirst(point.count)
    let joined = (root == [0x2f] ? [] : root) + rest
    return joined.isEmpty ? [0x2f] : joined
  }

  /// A directory that an overlay consists of.
  public struct Layer: Sendable {
    /// The path as it was given when the overlay was mounted.
    public let path: [UInt8]
    /// Whether the overlay only reads it.
    public let isLower: Bool
  }

  /// Returns the directories that an overlay consists of.
  public static func layers(of mount: Mount) -> [Layer] {
    guard mount.type == Array("overlay".utf8) else { return [] }
    var layers: [Layer] = []
    func add(_ path: [UInt8], isLower: Bool) {
      layers.append(Layer(path: unescapedOctal(withoutBackslashes(path)[...]), isLower: isLower))
    }
    for option in splitEscaped(mount.options, at: 0x2c) {
      guard let equals = option.firstIndex(of: 0x3d) else { continue }
      let name = String(decoding: option[..<equals], as: UTF8.self)
      let value = Array(option[(equals + 1)...])
      switch name {
      case "lowerdir", "lowerdir+", "datadir+":
        for path in splitEscaped(value, at: 0x3a) where !path.isEmpty { add(path, isLower: true) }
      case "upperdir", "workdir": add(value, isLower: false)
      default: continue
      }
    }
    return layers
  }

  /// Returns the names of the mount points below a directory, by the path of their parent relative to
  /// the directory.
  func pointNames(below directory: [UInt8]) -> [RelativePath: Set<[UInt8]>] {
    guard let directory = AbsolutePath(directory) else { return [:] }
    var names: [RelativePath: Set<[UInt8]>] = [:]
    for point in mounts.compactMap({ AbsolutePath($0.point) }) where point != directory {
      guard let path = point.relative(to: directory) else { continue }
      names[path.parent, default: []].insert(path.lastComponent)
    }
    return names
  }

  /// Splits at separators without a backslash before them.
  private static func splitEscaped(_ text: [UInt8], at separator: UInt8) -> [[UInt8]] {
    var parts: [[UInt8]] = [[]]
    var isEscaped = false
    for byte in text {
      if byte == separator, !isEscaped {
        parts.append([])
      } else {
        parts[parts.count - 1].append(byte)
      }
      isEscaped = byte == 0x5c && !isEscaped
    }
    return parts
  }

  /// Removes the overlay's own escapes; those of the kernel (three digits) stay.
  private static func withoutBackslashes(_ text: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    var i = 0
    while i < text.count {
      if text[i] == 0x5c, i + 1 < text.count, !(0x30...0x37).contains(text[i + 1]) { i += 1 }
      bytes.append(text[i])
      i += 1
    }
    return bytes
  }
}

/// Returns a text with octal escapes ("\040") decoded; mountinfo, exports and swaps use them.
public func unescapedOctal(_ text: ArraySlice<UInt8>) -> [UInt8] {
  var bytes: [UInt8] = []
  var i = text.startIndex
  while i < text.endIndex {
    let digits = text[i...].dropFirst().prefix(3)
    if text[i] == 0x5c, digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) {
      bytes.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }))
      i += 4
    } else {
      bytes.append(text[i])
      i += 1
    }
  }
  return bytes
}
