// Extended attributes that are not part of a tree: the kernel or the file system derives them from other
// attributes, or from the inode. They are neither recorded nor set nor removed.
//
// 1. The names are those that cp(1) leaves out (`skip` in libattr's xattr.conf). XFS lists its own form of
//    an access list, `trusted.SGI_ACL_FILE`, next to `system.posix_acl_access`: removing one removes both.
// 2. `security.evm` of the kernel's own (an HMAC) is bound to the inode. A portable signature is not, so it
//    is part of the tree.
// 3. A snapshot of an earlier version, or a foreign store, may contain such attributes. Every comparison and
//    every change leaves them out.

/// The names and values of attributes that the kernel derives.
enum KernelAttributes {
  private static let names: Set<[UInt8]> = Set(
    [
      "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT", "trusted.SGI_CAP_FILE",
      "trusted.SGI_MAC_FILE",
    ].map { Array($0.utf8) })
  private static let prefixes = ["trusted.SGI_DMI_", "xfsroot.", "afs."].map { Array($0.utf8) }
  private static let evm = Array("security.evm".utf8)
  /// The first byte of a value of `security.evm` that is a portable signature (security/integrity).
  private static let portableSignature: UInt8 = 5

  static func contain(_ attribute: XattrSet.Attribute) -> Bool {
    let name = attribute.name
    if name == evm { return attribute.value.first != portableSignature }
    return names.contains(name) || prefixes.contains { name.starts(with: $0) }
  }
}

extension XattrSet.Attribute {
  /// Whether the kernel or the file system derives the attribute from other attributes or from the inode.
  public var isDerived: Bool { KernelAttributes.contain(self) }
}

extension XattrSet {
  /// Returns the set without attributes that the kernel or the file system derives.
  public var withoutDerived: XattrSet {
    attributes.contains(where: \.isDerived) ? XattrSet(attributes.filter { !$0.isDerived }) : self
  }
}
