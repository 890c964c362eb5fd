// The mounts of one mount namespace, as /proc/PID/mountinfo lists them (proc(5)).

import Platform

/// The mounts that one process sees.
struct MountTable {
  struct Mount {
    let id: Int
    let parent: Int
    /// "MAJOR:MINOR", as the kernel prints it.
    let device: [UInt8]
    /// The folder of the file system that is mounted.
    let root: [UInt8]
    let point: [UInt8]
    let type: [UInt8]
    /// Options of the file system: an overlay's layers.
    let options: [UInt8]
  }
  let mounts: [Mount]

  init(_ text: [UInt8]) {
    mounts = text.split(separator: 0x0a).compactMap { line in
      let fields = line.split(separator: 0x20)
      guard fields.count >= 7, let id = Int(String(decoding: fields[0], as: UTF8.self)),
        let parent = Int(String(decoding: fields[1], as: UTF8.self)),
        let dash = fields.firstIndex(where: { $0.elementsEqual([0x2d]) }), dash + 2 < fields.count
      else { return nil }
      return Mount(
        id: id, parent: parent, device: Array(fields[2]), root: unescaped(fields[3]),
        point: unescaped(fields[4]), type: Array(fields[dash + 1]),
        options: fields.count > dash + 3 ? Array(fields[dash + 3]) : [])
    }
  }

  /// Returns the mount that a path of this namespace lies on.
  func mount(of path: [UInt8]) -> Mount? {
    // The latest of several on one point hides the others.
    mounts.filter { isInside(path, $0.point) }.enumerated()
      .max { ($0.element.point.count, $0.offset) < ($1.element.point.count, $1.offset) }?.element
  }

  /// Returns where the path is in the file system that it lies on.
  func placeInFileSystem(of path: [UInt8]) -> (mount: Mount, path: [UInt8])? {
    mount(of: path).map { ($0, MountTable.joined($0.root, path, below: $0.point)) }
  }

  /// Returns the folder of its parent's file system that a mount covers.
  func coveredPlace(of mount: Mount) -> (device: [UInt8], path: [UInt8])? {
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

  /// Returns the folders that an overlay is made of.
  static func layers(of mount: Mount) -> [[UInt8]] {
    guard mount.type == Array("overlay".utf8) else { return [] }
    var layers: [[UInt8]] = []
    for option in splitEscaped(mount.options, at: 0x2c) {
      guard let equals = option.firstIndex(of: 0x3d) else { continue }
      let name = String(decoding: option[..<equals], as: UTF8.self)
      let value = Array(option[(equals + 1)...])
      switch name {
      case "lowerdir", "lowerdir+", "datadir+":
        layers += splitEscaped(value, at: 0x3a).filter { !$0.isEmpty }
          .map { unescaped(withoutBackslashes($0)[...]) }
      case "upperdir", "workdir": layers.append(unescaped(withoutBackslashes(value)[...]))
      default: continue
      }
    }
    return layers
  }

  /// Splits where the separator has no backslash in front of it.
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

  /// Takes the overlay's own escapes away; those of the kernel (three digits) stay.
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

/// `path` is `other`, or lies below it.
func isInside(_ path: [UInt8], _ other: [UInt8]) -> Bool {
  if other == [0x2f] { return true }
  return path.starts(with: other) && (path.count == other.count || path[other.count] == 0x2f)
}

/// With "\040" and the like as the bytes that they stand for.
func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
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
