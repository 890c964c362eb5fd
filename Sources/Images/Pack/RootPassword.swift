// Sets root's line in a tree's etc/shadow, as xCAT does (docs/xcat-contract.md#packimage-steps;
// PasswordUtils.pm, packimage.pm).
//
// 1. A plain-text password of the passwd table is hashed here. The salt is derived from the tree and not from
//    the password, so that the same tree gives the same packed image.
// 2. The rest of the file stays: other lines, mode and owner.

import CCrypt
import Codec
import Glibc
import Platform
import Store

/// Root's password in a tree.
enum RootPassword {
  /// Sets root's line, and makes it the first.
  /// - Parameter salt: the tree from which the salt is derived.
  /// - Returns: remarks for the administrator.
  static func set(
    in tree: inout EditableTree, _ site: PackEnvironment, salt: Tree.IDs?
  ) throws -> [String] {
    guard let shadow = try tree.find("etc/shadow") else { return [] }
    guard let text = try tree.text("etc/shadow") else {
      return ["etc/shadow is not a small file and was not changed"]
    }
    let lines = text.split(separator: 0x0a)
    let root = lines.first { $0.starts(with: Array("root:".utf8)) }
    guard let password = try password(site, salt, known: root.map(Array.init)) else {
      return [
        "the passwd table's cryptmethod '\(site.rootPassword?["cryptmethod"] ?? "")' is not one of "
          + "md5, sha256, sha512: etc/shadow was not changed"
      ]
    }
    var new = Array("root:\(password):13880:0:99999:7:::\n".utf8)
    for line in lines where !line.starts(with: Array("root:".utf8)) { new += line + [0x0a] }
    guard new != text else { return [] }
    try tree.change { $0.put("etc/shadow", .fileLike(shadow, new)) }
    return []
  }

  /// Returns the second field of the line; nil for a method that crypt(3) does not have.
  /// - Parameter known: the existing line. If it has a hash of the same password, the hash stays.
  private static func password(
    _ site: PackEnvironment, _ salt: Tree.IDs?, known: [UInt8]?
  ) throws -> String? {
    if try site.site("secureroot") == "1" { return "*" }
    // xCAT's value without a row in the table: no password matches it.
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

  /// Returns whether a password is a hash of crypt(3), "$6$salt$…", with any method.
  private static func isHash(_ text: String) -> Bool {
    let parts = text.split(separator: "$", omittingEmptySubsequences: false)
    return parts.count >= 4 && parts[0].isEmpty && (1...8).contains(parts[1].utf8.count)
  }

  private static func crypted(_ password: String, setting: String) throws -> String {
    var memory: UnsafeMutableRawPointer?
    var size: Int32 = 0
    defer { free(memory) }
    guard let hash = crypt_ra(password, setting, &memory, &size) else {
      throw ImageError(
        .definitionInvalid,
        "root's password in the passwd table", "cannot be hashed: crypt(3) refuses it",
        hint: "Store a hash of it there ('openssl passwd -6' makes one)")
    }
    return String(cString: hash)
  }
}
