// Bundles whose signatures lie. Each is imported with `--require-signature` by somebody who trusts one key;
// the good signed bundle is taken (`OddBundle.signed`).

import Codec
import Platform
import Signatures
import XCAT

/// Signs the good bundle.
public enum BundleSigner {
  /// The key that the importing site trusts, and one that it does not. Known to everybody.
  public static let trusted = key(1)
  static let foreign = key(2)

  private static func key(_ seed: UInt8) -> SigningKey {
    // PKCS#8 of a seed of 32 equal bytes.
    let der =
      seed == 1
      ? "MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
      : "MC4CAQAwBQYDK2VwBCIEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
    let pem = "-----BEGIN PRIVATE KEY-----\n\(der)\n-----END PRIVATE KEY-----\n"
    do { return try SigningKey(pem: Array(pem.utf8), name: "test") } catch {
      fatalError("the test's key: \(error.messageWithHint)")
    }
  }

  /// The statement about the snapshot that the draft would have been made of.
  static func statement(_ draft: BundleDraft) -> Statement {
    func item(_ role: String, _ path: String, _ name: String) -> Statement.Item {
      let data = draft.files.first { $0.name == name }?.data ?? []
      return Statement.Item(
        role: role, path: Array(path.utf8), mode: 0o644, uid: 0, gid: 0, seconds: 1_700_000_000,
        content: .file(sizeBytes: UInt64(data.count), sha256: SHA256.digest(of: data)))
    }
    let boot = ["kernel", "initrd-stateless.gz", "rootimg.cpio.gz"].map {
      item("boot", "\(ManifestDraft.boot)/\($0)", $0)
    }
    let lists = [
      "tiny.exlist", "tiny.pkglist", "tiny.postinstall", "tiny.otherpkgs.pkglist", "tiny.synclist",
    ].map { item("list", "\(ManifestDraft.custom)/\($0)", $0) }
    var osimage = draft.manifest.osimage
    var linuximage = draft.manifest.linuximage
    (osimage["imagename"], linuximage["imagename"]) = (nil, nil)
    return Statement(
      subject: .snapshot, image: ManifestDraft.image, number: 7,
      snapshot: SHA256.digest(of: Array("snapshot".utf8)), parent: nil,
      time: Timestamp(seconds: 1_700_000_000, nanoseconds: 0), host: "origin", user: "0",
      command: "snapshot", message: "",
      rows: [.init(table: "osimage", osimage), .init(table: "linuximage", linuximage)], facts: [],
      items: boot + lists + [item("extra", "/install/postscripts/tinyscript", "extra/tinyscript")])
  }

  /// The draft with its manifest spelled as an export spells it: no other spelling is signed.
  static func spelled(_ draft: BundleDraft = BundleDraft()) -> BundleDraft {
    var spelled = draft
    spelled.manifestBytes = try? Manifest.parse(Array(draft.manifest.text.utf8)).render()
    return spelled
  }

  static func text(_ draft: BundleDraft, _ edit: (inout Statement) -> Void = { _ in }) -> [UInt8] {
    var statement = statement(draft)
    edit(&statement)
    return (try? statement.render()) ?? []
  }

  /// Writes the long name that the next member has.
  static func directory(_ name: String, _ tar: inout RawTar) -> String {
    let path = "./\(BundleDraft.directory)/complete/signatures/\(name)"
    tar.longName(path)
    return path
  }

  static func put(_ name: String, _ data: [UInt8], in tar: inout RawTar) {
    let path = directory(name, &tar)
    tar.file(path, data)
  }

  /// Adds a statement and its signature.
  static func add(
    _ text: [UInt8], to tar: inout RawTar, by key: SigningKey = trusted, as id: String? = nil,
    _ edit: (inout [UInt8]) -> Void = { _ in }
  ) {
    var signature = (try? key.sign(text)) ?? []
    edit(&signature)
    let name = SHA256.digest(of: text).hex
    put("\(name).statement", text, in: &tar)
    put("\(name).\(id ?? key.publicKey.id.hex).sig", signature, in: &tar)
  }
}

extension OddBundle {
  /// The good bundle, signed.
  public static func signed() -> [UInt8] {
    BundleSigner.spelled().bundle { tar in
      BundleSigner.add(BundleSigner.text(BundleDraft()), to: &tar)
    }
  }
}

extension HostileBundle {
  private static func signed(
    _ name: String, _ words: String..., draft: @escaping @Sendable (inout BundleDraft) -> Void,
    more: @escaping @Sendable (inout RawTar) -> Void = { _ in }
  ) -> HostileBundle {
    var bundle = HostileBundle("signed: \(name)", words: words) {
      var changed = BundleDraft()
      draft(&changed)
      return BundleSigner.spelled(changed).bundle { tar in
        BundleSigner.add(BundleSigner.text(BundleDraft()), to: &tar)
        more(&tar)
      }
    }
    bundle.requiresSignature = true
    return bundle
  }

  /// The valid bundle with the signatures that `more` adds.
  private static func signature(
    _ name: String, _ words: String..., more: @escaping @Sendable (inout RawTar, [UInt8]) -> Void
  ) -> HostileBundle {
    var bundle = HostileBundle("signature: \(name)", words: words) {
      BundleSigner.spelled().bundle { tar in more(&tar, BundleSigner.text(BundleDraft())) }
    }
    bundle.requiresSignature = true
    return bundle
  }

  private static func statement(
    _ name: String, _ words: String..., edit: @escaping @Sendable (inout Statement) -> Void
  ) -> HostileBundle {
    var bundle = HostileBundle("statement: \(name)", words: words) {
      BundleSigner.spelled().bundle { tar in
        BundleSigner.add(BundleSigner.text(BundleDraft(), edit), to: &tar)
      }
    }
    bundle.requiresSignature = true
    return bundle
  }

  private static let kernel = "\(ManifestDraft.boot)/kernel"

  public static let signatures: [HostileBundle] = [
    // Nothing that counts.
    signature("none at all", "is not signed") { _, _ in },
    signature("by a key that nobody trusts", "does not hold") { tar, text in
      BundleSigner.add(text, to: &tar, by: BundleSigner.foreign)
    },
    signature("by another key, under the trusted one's id", "not valid") { tar, text in
      BundleSigner.add(
        text, to: &tar, by: BundleSigner.foreign, as: BundleSigner.trusted.publicKey.id.hex)
    },
    signature("with one bit flipped", "not valid") { tar, text in
      BundleSigner.add(text, to: &tar) { $0[17] ^= 4 }
    },
    signature("of zeros", "not valid") { tar, text in
      BundleSigner.add(text, to: &tar) { $0 = [UInt8](repeating: 0, count: 64) }
    },
    signature("whose S is not below the order", "not valid") { tar, text in
      // S + L: the same number, spelled in another way (RFC 8032, section 5.1.7).
      BundleSigner.add(text, to: &tar) { signature in
        let order: [UInt8] = [
          0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
          0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ]
        var carry = 0
        for i in 0..<32 {
          let sum = Int(signature[32 + i]) + Int(order[i]) + carry
          (signature[32 + i], carry) = (UInt8(sum & 0xff), sum >> 8)
        }
      }
    },
    signature("of 63 bytes", "not a signature") { tar, text in
      BundleSigner.add(text, to: &tar) { $0.removeLast() }
    },
    signature("of 65 bytes", "not a signature") { tar, text in
      BundleSigner.add(text, to: &tar) { $0.append(0) }
    },
    signature("without its statement", "has no statement") { tar, text in
      let id = SHA256.digest(of: text).hex
      BundleSigner.put(
        "\(id).\(BundleSigner.trusted.publicKey.id.hex).sig",
        (try? BundleSigner.trusted.sign(text)) ?? [], in: &tar)
    },
    signature("next to an unsigned statement", "has no signature") { tar, text in
      BundleSigner.add(text, to: &tar)
      let other = BundleSigner.text(BundleDraft()) { $0.number = 8 }
      BundleSigner.put("\(SHA256.digest(of: other).hex).statement", other, in: &tar)
    },
    signature("twice", "occurs twice") { tar, text in
      BundleSigner.add(text, to: &tar)
      BundleSigner.add(text, to: &tar)
    },
    signature("as a link to a file", "no signature") { tar, text in
      let id = SHA256.digest(of: text).hex
      BundleSigner.put("\(id).statement", text, in: &tar)
      let name = "\(id).\(BundleSigner.trusted.publicKey.id.hex).sig"
      let path = BundleSigner.directory(name, &tar)
      tar.header(path, type: "2", link: "kernel")
    },
    signature("as a folder", "no signature") { tar, text in
      let id = SHA256.digest(of: text).hex
      BundleSigner.put("\(id).statement", text, in: &tar)
      let name = "\(id).\(BundleSigner.trusted.publicKey.id.hex).sig/"
      let path = BundleSigner.directory(name, &tar)
      tar.directory(path)
    },
    signature("with a name in capital digits", "not the name") { tar, text in
      BundleSigner.add(text, to: &tar)
      BundleSigner.put(
        "\(SHA256.digest(of: text).hex.uppercased()).statement", text, in: &tar)
    },
    signature("and a file that is none", "not the name") { tar, text in
      BundleSigner.add(text, to: &tar)
      BundleSigner.put("README", Array("trust me\n".utf8), in: &tar)
    },
    signature("and 100 more", "too many") { tar, text in
      BundleSigner.add(text, to: &tar)
      for i in 0..<100 { BundleSigner.put("\(i)", Array("x".utf8), in: &tar) }
    },
    signature("with a statement of 2 MiB", "too large") { tar, _ in
      BundleSigner.add([UInt8](repeating: 0x61, count: 2 << 20), to: &tar)
    },
    signature("over a text that is not a statement", "line 1") { tar, _ in
      BundleSigner.add(Array("I am the king\n".utf8), to: &tar)
    },
    signature("over a statement with CR before LF", "printable ASCII") { tar, text in
      BundleSigner.add(text.flatMap { $0 == 0x0a ? [0x0d, 0x0a] : [$0] }, to: &tar)
    },
    signature("over a statement with a line too many", "line") { tar, text in
      BundleSigner.add(text + Array("fact a b\n".utf8), to: &tar)
    },
    signature("over two statements in one", "line") { tar, text in
      BundleSigner.add(text + text, to: &tar)
    },
    signature("over a statement without its last LF", "printable ASCII") { tar, text in
      BundleSigner.add(Array(text.dropLast()), to: &tar)
    },
    signature("over a statement of version 2", "version") { tar, text in
      let other = String(decoding: text, as: UTF8.self).replacing(
        "snapshot 1\n", with: "snapshot 2\n")
      BundleSigner.add(Array(other.utf8), to: &tar)
    },
    signature("over a statement about a bundle, with a snapshot's items", "no trusted key signed") {
      tar, _ in
      BundleSigner.add(BundleSigner.text(BundleDraft()) { $0.subject = .bundle }, to: &tar)
    },
    // The statement was signed for other contents.
    statement("about another image", "the image's name") { $0.image = "other" },
    statement("about another kernel", "kernel") { statement in
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        statement.items[i].content = .file(
          sizeBytes: 1500, sha256: SHA256.digest(of: Array("other".utf8)))
      }
    },
    statement("about a kernel of another size", "kernel") { statement in
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        if case .file(_, let sha256) = statement.items[i].content {
          statement.items[i].content = .file(sizeBytes: 1501, sha256: sha256)
        }
      }
    },
    statement("about a kernel of another mode", "kernel") { statement in
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        statement.items[i].mode = 0o600
      }
    },
    statement("about a kernel of another owner", "kernel") { statement in
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        statement.items[i].uid = 1
      }
    },
    statement("about a kernel of another time", "kernel") { statement in
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        statement.items[i].seconds += 1
      }
    },
    statement("about a kernel elsewhere", "kernel") { statement in
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        statement.items[i].path = Array("/install/kernel".utf8)
      }
      statement.items.sort { $0.path.lexicographicallyPrecedes($1.path) }
    },
    statement("about no kernel", "kernel") { statement in
      statement.items.removeAll { $0.path == Array(kernel.utf8) }
    },
    statement("about a folder in the kernel's place", "kernel") { statement in
      let zero = SHA256.digest(of: [])
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        statement.items[i].content = .tree(
          .init(entryCount: 1, portable: zero, attributes: zero, members: zero))
      }
    },
    statement("about links in a circle in the kernel's place", "kernel") { statement in
      for i in statement.items.indices where statement.items[i].path == Array(kernel.utf8) {
        statement.items[i].content = .link(target: Array("kernel".utf8))
        statement.items[i].role = "target of \(kernel)"
      }
    },
    statement("about no rows", "osimage", "linuximage") { $0.rows = [] },
    statement("about another profile", "osimage") { statement in
      var row = BundleDraft().manifest.osimage
      (row["imagename"], row["profile"]) = (nil, "other")
      statement.rows[1] = .init(table: "osimage", row)
    },
    signed("a file that was changed", "kernel", draft: { $0.files[5].data[3] ^= 1 }),
    signed(
      "two files in each other's place", "kernel", "initrd-stateless.gz",
      draft: { draft in
        let data = draft.files[5].data
        draft.files[5].data = draft.files[6].data
        draft.files[6].data = data
      }),
    signed(
      "a column that was added", "osimage",
      draft: { $0.manifest.osimage["usercomment"] = "x" }),
    signed("a script list", "postscripts", draft: { $0.manifest.values["postscripts"] = "evil" }),
    signed(
      "an extra that was added", "extra/evil",
      draft: { draft in
        draft.manifest.extras.append(("/a/evil", "/install/postscripts"))
        draft.files.append(("extra/evil", [1]))
      }),
    signed(
      "a folder of extras that was added", "extra/d",
      draft: { draft in
        draft.manifest.extras.append(("/d", "/install/postscripts"))
        draft.files.append(("extra/d/e", [1]))
      }),
    signed(
      "an empty folder among extras", "extra/d",
      draft: { $0.manifest.extras.append(("/d", "/install/postscripts")) },
      more: { $0.directory("./\(BundleDraft.directory)/extra/d/e/") }),
    signed(
      "a kit that was added", "the kit rows", "k1",
      draft: { draft in
        draft.manifest.lines = [
          "<kit><kitname>k1</kitname><kitdir>/install/kits/k1</kitdir></kit>"
        ]
        draft.files.append(("k1/kit.conf", [1]))
      }),
    signed(
      "a list of litefile rows", "litefile.csv",
      draft: { draft in
        draft.manifest.values["litefile"] = "\(ManifestDraft.boot)/litefile.csv"
        draft.files.append(
          ("litefile.csv", Array("\"\(directory)\",\"/etc/shadow\",\"tmpfs,rw\",,\n".utf8)))
      }),
    signed(
      "a time with nanoseconds", "kernel",
      draft: { $0.files.remove(at: 5) },
      more: { tar in
        tar.pax([("mtime", "1700000000.5")])
        tar.file("./\(BundleDraft.directory)/kernel", [UInt8](repeating: 0x4b, count: 1500))
      }),
  ]

  private static let directory = BundleDraft.directory
}
