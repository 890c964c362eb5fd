// Root's line in a tree's etc/shadow, as xCAT writes it (PasswordUtils.pm, packimage.pm).
//
// 1. A password that the passwd table has in clear is hashed here; its salt is derived from the
//    tree, so that the same tree packs to the same bytes. It says nothing of the password.
// 2. Nothing else of the file changes: other lines, mode and owner stay.

import CCrypt
import Codec
import Glibc
import Platform
import Render
import Store
import XCAT

enum RootPassword {
  /// Puts root's line first.
  /// - Parameter salt: what the salt is derived from.
  /// - Returns: what is worth knowing.
  static func set(
    in tree: inout EditableTree, _ site: PackEnvironment, salt: Tree.IDs?
  ) throws -> [String] {
    guard let shadow = try tree.find("etc/shadow") else { return [] }
    guard let text = try tree.text("etc/shadow") else {
      return ["etc/shadow is no small file: it stays as it is"]
    }
    let lines = text.split(separator: 0x0a)
    let root = lines.first { $0.starts(with: Array("root:".utf8)) }
    guard let password = try password(site, salt, known: root.map(Array.init)) else {
      return [
        "the passwd table's cryptmethod '\(site.rootPassword?["cryptmethod"] ?? "")' is none of md5, "
          + "sha256, sha512: etc/shadow stays as it is in the tree"
      ]
    }
    var new = Array("root:\(password):13880:0:99999:7:::\n".utf8)
    for line in lines where !line.starts(with: Array("root:".utf8)) { new += line + [0x0a] }
    guard new != text else { return [] }
    try tree.change { $0.put(treePath("etc/shadow"), .fileLike(shadow, new)) }
    return []
  }

  /// The second field of the line; nil for a method that crypt(3) does not have.
  /// - Parameter known: the line that is there; a hash of the same password in it stays.
  private static func password(
    _ site: PackEnvironment, _ salt: Tree.IDs?, known: [UInt8]?
  ) throws -> String? {
    if try site.site("secureroot") == "1" { return "*" }
    // xCAT's word for "no row": no password matches it.
    guard let text = site.rootPassword?["password"], !text.isEmpty else { return "cluster" }
    if isHash(text) { return text }
    let methods = ["": "$5$", "md5": "$1$", "sha256": "$5$", "sha512": "$6$"]
    guard let prefix = methods[site.rootPassword?["cryptmethod"] ?? ""] else { return nil }
    let fields = known?.split(separator: 0x3a, omittingEmptySubsequences: false) ?? []
    if fields.count > 1, let old = String(validating: fields[1], as: UTF8.self),
      old.hasPrefix(prefix), (try? crypted(text, setting: old)) == old
    {
      return old
    }
    var hash = SHA256()
    hash.update(Array("imgstore shadow salt 1\n\(site.image)\n".utf8))
    hash.update(salt?.tree.bytes ?? [])
    return try crypted(text, setting: prefix + String(hash.finish().hex.prefix(8)))
  }

  /// "$6$salt$…": a line of crypt(3)'s, whatever the method.
  private static func isHash(_ text: String) -> Bool {
    let parts = text.split(separator: "$", omittingEmptySubsequences: false)
    return parts.count >= 4 && parts[0].isEmpty && (1...8).contains(parts[1].utf8.count)
  }

  private static func crypted(_ password: String, setting: String) throws -> String {
    var memory: UnsafeMutableRawPointer?
    var size: Int32 = 0
    defer { free(memory) }
    guard let made = crypt_ra(password, setting, &memory, &size) else {
      throw ImageError(
        "root's password in the passwd table", "cannot be hashed: crypt(3) refuses it",
        advice: "Store a hash of it there ('openssl passwd -6' makes one)")
    }
    return String(cString: made)
  }
}
