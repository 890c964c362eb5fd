// What packing changes in a root tree (xcat.md section 4, steps 2 to 8), as edits of a view: the live
// tree stays as it is.
//
// 1. Random or of the clock in xCAT is here derived from the snapshot: the same snapshot, postscripts
//    and tables give the same tree.
// 2. What cannot be done is said, and nothing is done by halves.

import Codec
import Glibc
import Platform
import Render
import Store
import XCAT

/// Decides on the edits of one image.
struct PackEdits {
  let resolver: PathResolver
  let installDirectory: AbsolutePath
  /// A value of xCAT's site table.
  let site: (String) throws -> String?
  /// The row of xCAT's passwd table for root's own password.
  let rootPassword: [String: String]?
  private(set) var edits = TreeEdits()
  /// Further include patterns for the exlist.
  private(set) var includes: [[UInt8]] = []
  /// What an administrator should know.
  private(set) var remarks: [String] = []
  private var fileSystem: any FileSystem { resolver.fileSystem }

  /// Bytes of postscripts, held in memory while packing.
  private static let mostPostscriptBytes: UInt64 = 128 << 20

  init(
    resolver: PathResolver, installDirectory: AbsolutePath,
    site: @escaping (String) throws -> String?, rootPassword: [String: String]?
  ) {
    self.resolver = resolver
    self.installDirectory = installDirectory
    self.site = site
    self.rootPassword = rootPassword
  }

  /// Collects all edits for `top`, the stored root tree.
  mutating func collect(
    _ top: Entry, _ view: TreeView, image: String, created: Timestamp
  ) throws {
    try refuseLited(top, view, image)
    try addPostscripts()
    addImageInfo(top, image: image, created: created)
    try restoreBootScripts(top, view)
    try setTimezone(top, view)
    try setRootPassword(top, view)
  }

  private func path(_ text: String) -> [[UInt8]] {
    text.split(separator: "/").map { Array($0.utf8) }
  }

  private func refuseLited(_ top: Entry, _ view: TreeView, _ image: String) throws {
    guard try view.find(path(".statelite/litefile.save"), in: top) != nil else { return }
    throw ImageError(
      "image \(image)", "its root tree is in statelite form (.statelite/litefile.save is there)",
      advice: "Pack it with xCAT's packimage, which undoes that, or generate the tree anew")
  }

  // MARK: Postscripts

  private mutating func addPostscripts() throws {
    edits.remove(path("xcatpost"))
    let folder = installDirectory.appending("postscripts")
    let opened = try PackEdits.unlessAbsent { () throws(SystemError) in
      let place = try resolver.resolve(folder)
      return try fileSystem.openDirectory(at: place.directory.raw, place.name)
    }
    guard let directory = opened else {
      remarks.append("there are no postscripts in \(folder.text): xcatpost is left out")
      return
    }
    edits.put(path("xcatpost"), .directory(mode: 0o755))
    var room = PackEdits.mostPostscriptBytes
    // The shell's `*` leaves out what begins with a dot, at the top only.
    for name in try fileSystem.names(of: directory.raw).sorted(by: precedes)
    where name.first != 0x2e {
      try copy(directory, name, to: path("xcatpost") + [name], &room)
    }
    let script = try PackEdits.unlessAbsent { () throws(SystemError) in
      try fileSystem.readSmallFile(
        at: directory.raw, Array("xcatdsklspost".utf8), limitBytes: 16 << 20)
    }
    if let script {
      edits.put(path("opt/xcat/xcatdsklspost"), .file(script, mode: 0o755))
    } else {
      remarks.append("Could not find the script \(folder.text)/xcatdsklspost.")
    }
  }

  /// What `body` finds; nil where nothing is. Any other failure is one.
  private static func unlessAbsent<R>(
    _ body: () throws(SystemError) -> R
  ) throws(SystemError) -> R? {
    do {
      return try body()
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }

  private mutating func copy(
    _ directory: Descriptor, _ name: [UInt8], to target: [[UInt8]], _ room: inout UInt64
  ) throws {
    guard target.count < 64 else {
      throw ImageError("postscripts", "their folders are nested too deeply")
    }
    let stat = try fileSystem.stat(at: directory.raw, name, followLink: false)
    switch stat.kind {
    case .file:
      guard stat.size <= room else {
        throw ImageError(
          "folder \(installDirectory.text)/postscripts", "holds more than 128 MiB",
          advice: "Move what nodes do not need out of it")
      }
      let bytes = try fileSystem.readSmallFile(
        at: directory.raw, name, limitBytes: Int(PackEdits.mostPostscriptBytes))
      room -= min(room, UInt64(bytes.count))
      edits.put(target, .file(bytes, mode: stat.mode & 0o755))
    case .symlink:
      edits.put(target, .symlink(target: try fileSystem.readLink(at: directory.raw, name)))
    case .directory:
      edits.put(target, .directory(mode: stat.mode & 0o755))
      let folder = try fileSystem.openDirectory(at: directory.raw, name)
      for child in try fileSystem.names(of: folder.raw).sorted(by: precedes) {
        try copy(folder, child, to: target + [child], &room)
      }
    default: remarks.append("\(printable(name)) in postscripts is a \(stat.kind.noun): left out")
    }
  }

  // MARK: Files of the image

  /// opt/xcat/xcatinfo; its UUID names the tree, its time is the snapshot's.
  private mutating func addImageInfo(_ top: Entry, image: String, created: Timestamp) {
    var hash = SHA256()
    hash.update(Array("imgstore image uuid 1\n\(image)\n".utf8))
    hash.update(top.ids.map { $0.tree.bytes + $0.times.bytes } ?? [])
    let digits = Array(hash.finish().hex)
    let uuid = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
      .joined(separator: "-")
    let text =
      "IMAGENAME='\(image)'\nIMAGEUUID='\(uuid)'\nTIMESTAMP='\(PackEdits.date(created))'\n"
    edits.put(path("opt/xcat/xcatinfo"), .file(Array(text.utf8), mode: 0o644))
  }

  /// As date(1) prints it in UTC: "Mon Nov 23 05:42:52 UTC 2026".
  private static func date(_ time: Timestamp) -> String {
    var seconds = time_t(time.seconds)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 64)
    let n = strftime(&text, text.count, "%a %b %e %H:%M:%S UTC %Y", &parts)
    return String(decoding: text[..<n].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// What a statelite run left behind: the netboot forms come back.
  private mutating func restoreBootScripts(_ top: Entry, _ view: TreeView) throws {
    for (kept, name) in [
      ("etc/rc.sysinit.backup", "etc/rc.sysinit"),
      (
        "usr/lib/dracut/modules.d/97xcat/install.netboot", "usr/lib/dracut/modules.d/97xcat/install"
      ),
      (
        "usr/share/dracut/modules.d/97xcat/install.netboot",
        "usr/share/dracut/modules.d/97xcat/install"
      ),
    ] {
      if let entry = try view.find(path(kept), in: top) { edits.put(path(name), .stored(entry)) }
    }
  }

  private mutating func setTimezone(_ top: Entry, _ view: TreeView) throws {
    guard let zone = try site("timezone"), !zone.isEmpty else { return }
    let name = path("usr/share/zoneinfo") + path(zone)
    guard !name.contains([0x2e, 0x2e]), let entry = try view.find(name, in: top) else {
      remarks.append("Unable to set timezone to '\(zone)', check this is a valid timezone")
      return
    }
    edits.put(path("etc/localtime"), .symlink(target: Array("../usr/share/zoneinfo/\(zone)".utf8)))
    includes.append(Array("./usr/share/zoneinfo/\(zone)".utf8))
    if case .symlink(let target) = entry.content, target.first != 0x2f {
      // The file that the link leads to goes along.
      var real = Array(name.dropLast())
      for part in target.split(separator: 0x2f).map(Array.init) where part != [0x2e] {
        if part == [0x2e, 0x2e] { real = Array(real.dropLast()) } else { real.append(part) }
      }
      includes.append([0x2e] + real.flatMap { [0x2f] + $0 })
    }
  }

  /// etc/shadow: root's line first, as xCAT writes it; all others stay.
  private mutating func setRootPassword(_ top: Entry, _ view: TreeView) throws {
    let row = rootPassword
    var password = row?["password"] ?? "cluster"
    if try site("secureroot") == "1" { password = "*" }
    if let method = row?["cryptmethod"], !method.isEmpty, !password.hasPrefix("$") {
      remarks.append(
        "the passwd table says '\(method)' of root's password, and it is not hashed: "
          + "etc/shadow stays as it is in the tree")
      return
    }
    if row != nil, password != "*", !password.hasPrefix("$") {
      remarks.append(
        "root's password in the passwd table is not hashed: etc/shadow stays as it is in the tree; "
          + "store a hash (openssl passwd -6) to have it packed")
      return
    }
    guard let shadow = try view.find(path("etc/shadow"), in: top) else { return }
    guard case .file(let blob, let size) = shadow.content, size <= 16 << 20 else {
      remarks.append("etc/shadow is no small file: it stays as it is")
      return
    }
    var text: [UInt8] = []
    try view.read(blob, sizeBytes: size) { text += $0 }
    var lines = Array("root:\(password):13880:0:99999:7:::\n".utf8)
    for line in text.split(separator: 0x0a, omittingEmptySubsequences: true)
    where !line.starts(with: Array("root:".utf8)) {
      lines += line + [0x0a]
    }
    edits.put(path("etc/shadow"), .file(lines, mode: shadow.mode))
  }
}
