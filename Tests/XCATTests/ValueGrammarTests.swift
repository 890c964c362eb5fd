// A value that fits its column has no side effect in the shell lines that xCAT makes of it, and values
// of real images fit.

import Foundation
import TestSupport
import Testing
import XCAT

@Suite struct ValueGrammarTests {
  /// The tables that an import fills.
  private static let tables: [TableSchema] = [
    .osimage, .linuximage, .litefile, .kit, .kitrepo, .kitcomponent,
  ]

  /// Texts to insert into values, alone and within a valid value of the column.
  private static let fragments = [
    " ", "a b", " /etc", "/x /victim", "-rf", "--help", "- -", "*", "?", "/etc/*", "[a-z]", "{a,b}",
    "/{etc,usr}", "~", "~root", "/a/~root", "#x", "a #x", "!", "!!", "^", "$HOME", "$(id)", "`id`",
    "${x}",
    "a;b", ";id", "a&b", "a|b", "a>b", ">f", "a<b", "\"", "\"a", "'", "a'b", "\\", "a\\ b", "(a)",
    "a(", "\t",
    "a\tb", "\n", "a\nb", "\r", "\u{a0}", "\u{2028}", "é", "..", "/..", "/a/../b", "a/../../b", ".",
    "./-x",
    "", ",", ",,", "a,-b", "a,--c", "/a,-rf", "/a,/b", "A=1", "A=-x", "A=1,B=2", "=x", "1A=x",
    "A B=1", "http://m/u x main",
    "http://m/u -rf", "http://m/u;id", "s:/a", "dud:/d,rpm:/r", "nfs:///k", "0755", "755", "9",
    "tmpfs,rw",
    "link,persistent", "evil", "x86_64", "rhels9.4", "kernel >= 5.14", "e1000,tg3", "/install/a",
    "256M",
  ]

  private static let values =
    fragments + [
      "/install/xa b", "/install/*", "/install/{a,b}", "/install/a,/b *", "../../etc",
      "a/../../etc",
      "x /etc", "http://m/u /etc main", "ftp://m /etc main", "file:/x /etc",
    ]

  @Test(.usesTools)
  func `values that fit their column pass through xCAT's shell lines unchanged`() throws {
    var pairs = 0
    var cases: [ModelShell.Case] = []
    for schema in Self.tables {
      for column in schema.columns {
        let grammar = schema.grammar(of: column)
        for value in Self.values {
          pairs += 1
          guard grammar != .prose, grammar.reason(value) == nil, !value.isEmpty else { continue }
          cases += ModelShell.cases(schema, column, value)
        }
      }
    }
    #expect(pairs >= 4000, "\(pairs)")
    #expect(cases.count > 1000, "\(cases.count)")
    for (item, deed) in zip(cases, try ModelShell.run(cases)) {
      #expect(deed == nil, "\(item.column): \(item.line)")
    }
  }

  /// A grammar that is too wide by a character, or by dots.
  private struct Hole: Sendable {
    let name: String
    /// Inserts the hole's character into a value that fits.
    let spoil: @Sendable (String) -> [String]
    /// Removes it again.
    let repaired: @Sendable (String) -> String

    static func inserting(_ name: String, _ characters: String) -> Hole {
      Hole(name: name) { value in
        let letters = Array(value)
        var spoiled: [String] = characters.count == 1 ? [characters] : []
        for i in Set([0, 1, 5, letters.count]) where i <= letters.count {
          let front = String(letters[..<i]) + characters.prefix(1)
          guard let last = characters.dropFirst().first else {
            spoiled.append(front + String(letters[i...]))
            continue
          }
          for j in Set([i + 1, letters.count]) where j <= letters.count {
            spoiled.append(front + String(letters[i..<j]) + "\(last)" + String(letters[j...]))
          }
        }
        return spoiled
      } repaired: { value in
        String(value.filter { !characters.contains($0) })
      }
    }

    static let all: [Hole] =
      [
        "*", "?", "[]", " ", "\t", "\n", "$", "{}", "~", "#", "!", ";", "&", "|", "`", "\"", "'",
        "\\",
        "<", ">", "()",
      ].map { inserting($0.debugDescription, $0) } + [
        Hole(name: "a dash in front") {
          ["-\($0)", "\($0),-\($0)"]
        } repaired: {
          $0.replacing(#/(^|,)-/#) { "\($0.1)" }
        },
        Hole(name: "..") {
          ["..", "../\($0)", "/..\($0)", "/../../\($0)"]
        } repaired: {
          $0.replacing("..", with: "x")
        },
        Hole(name: "/") {
          ["\($0)/../../\($0)"]
        } repaired: {
          $0.replacing("/", with: "")
        },
      ]
  }

  /// Holes whose characters a shell does not interpret.
  private static let harmless: Set<String> = [
    // A brace list needs a comma, which modes do not have; a home is that of a user called "link".
    "mode \"{}\"", "oneOf \"~\"",
    // xCAT's own code splits comparisons at these and at commas.
    "comparison \" \"", "comparison \"<\"", "comparison \">\"", "comparison \"{}\"",
  ]

  /// A matrix that cannot fail would also pass here.
  @Test(.usesTools) func `the matrix detects a grammar that accepts one character too many`() throws
  {
    let bases = [
      "victim", "victim,victim", "root", "/etc/hosts", "/etc/hosts,/etc/hosts", "A=v", "A=v,B=v",
      "A=/x", "7", "0", "link", "link,ro",
    ]
    var expected: [String: Range<Int>] = [:]
    var cases: [ModelShell.Case] = []
    for schema in Self.tables {
      for column in schema.columns where schema.grammar(of: column) != .prose {
        let grammar = schema.grammar(of: column)
        let name = "\(grammar)".prefix { $0 != "(" }
        for hole in Hole.all where !Self.harmless.contains("\(name) \(hole.name)") {
          let first = cases.count
          let spoiled = bases.filter { grammar.reason($0) == nil }.flatMap(hole.spoil)
          for value in spoiled
          where grammar.reason(value) != nil && grammar.reason(hole.repaired(value)) == nil {
            cases += ModelShell.cases(schema, column, value, isGeneral: true)
          }
          // If the column accepts the character, there is no hole.
          if cases.count > first {
            expected["\(schema.name).\(column) with \(hole.name)"] = first..<cases.count
          }
        }
      }
    }
    let deeds = try ModelShell.run(cases)
    for (hole, range) in expected {
      #expect(deeds[range].contains { $0 != nil }, "\(hole) is not noticed")
    }
    #expect(expected.count > 1000, "\(expected.count)")
  }

  @Test func `every column that an import fills has a grammar of its own`() {
    for schema in Self.tables + [.postscripts] {
      for column in schema.columns {
        #expect(schema.ownGrammar(of: column) != nil, "\(schema.name).\(column)")
      }
    }
    // A column of a newer xCAT gets the narrowest grammar.
    #expect(TableSchema.osimage.grammar(of: "invented") == .word)
  }

  @Test(arguments: [
    ("linuximage", "rootimgdir", "/install/a /victim b"), ("linuximage", "rootimgdir", "relative"),
    ("linuximage", "rootimgdir", "/a/../../etc"), ("osimage", "environvar", "A=1 $(id)"),
    ("osimage", "environvar", "A=1 B=2"), ("osimage", "profile", "-rf"),
    ("osimage", "profile", "a/b"), ("osimage", "osvers", "*"), ("osimage", "osarch", "{a,b}"),
    ("linuximage", "pkglist", "/a,/b c"), ("linuximage", "permission", "a+x"),
    ("linuximage", "netdrivers", "e1000 --help"), ("litefile", "file", "/etc/*"),
    ("litefile", "options", "evil"), ("litefile", "file", "/etc/x /victim"),
    ("linuximage", "pkgdir", "/a b"), ("kit", "kitdir", "/k;id"), ("osimage", "groups", "a,~root"),
    // rmkit removes /install/postscripts/$file for each.
    ("kitcomponent", "postbootscripts", "x /etc"),
    ("kitcomponent", "postbootscripts", "../../etc"),
    ("kitcomponent", "genimage_postinstall", "a,b/../../../etc"),
    ("kitcomponent", "exlist", "../../../etc/shadow"), ("kit", "kitdeployparams", "../../x"),
    ("kitcomponent", "driverpacks", "../x.rpm"),
    // kit.pm takes a value that does not begin with "http" for a local directory, and removes files below
    // it.
    ("linuximage", "otherpkgdir", "ftp://m /etc main"),
    // Lines of a list that genimage passes to yum.
    ("kitcomponent", "prerequisite", "x >/etc/passwd"),
    ("kitcomponent", "kitpkgdeps", "x >/etc/passwd"),
    ("kitcomponent", "kitpkgdeps", "x >passwd"), ("kitcomponent", "kitcompdeps", "x /etc"),
    ("linuximage", "kernelver", "../../../../etc"), ("linuximage", "nodebootif", "../x"),
    ("linuximage", "netdrivers", "../x.ko"), ("osimage", "postscripts", "../../root/x"),
    ("osimage", "postbootscripts", "syslog,/root/x"),
  ])
  func `values with shell syntax are refused, and the error names them`(
    _ table: String, _ column: String, _ value: String
  ) throws {
    let schema = try #require(TableSchema.named(table))
    let found = UnsafeValue.all(in: [column: value], of: schema)
    #expect(found.count == 1)
    #expect(found.first?.text.contains(value) == true)
  }

  @Test(arguments: ["..", ".", "a/b", "../../etc", String(repeating: "x", count: 129)])
  func `no option allows a name that is not part of a path`(_ value: String) {
    for column in ["imagename", "profile", "osvers", "osarch", "provmethod"] {
      let manifest = Manifest(osimage: [column: value])
      #expect(throws: XCATError.self, "\(column)") {
        try manifest.refuseHarmfulText(allowsUnsafeValues: true)
      }
    }
    let blank = Manifest(linuximage: ["rootimgdir": "/a b"])
    #expect(throws: Never.self) { try blank.refuseHarmfulText(allowsUnsafeValues: true) }
    #expect(throws: XCATError.self) { try blank.refuseHarmfulText() }
  }

  @Test(arguments: [
    ("osimage", "environvar", "TZ=Europe/Berlin,HTTP_PROXY=http://p.example.org:3128"),
    ("osimage", "postscripts", "syslog,remoteshell,confignetwork -s,setupntp a b"),
    ("osimage", "nfsrootopts", "rsize=8192,wsize=8192,vers=4.1"),
    ("osimage", "description", "Compute & \"login\" nodes; built <today> $1"),
    (
      "linuximage", "addkcmdline",
      "console=tty0 console=ttyS0,115200n8r R::rd.driver.blacklist=nouveau"
    ),
    (
      "linuximage", "pkgdir",
      "http://archive.ubuntu.com/ubuntu jammy main,/install/ubuntu22.04/x86_64"
    ),
    ("linuximage", "postinstall", "/install/custom/post.sh --fast a,/install/custom/two.sh"),
    ("linuximage", "partitionfile", "s:d:/install/disk,/install/part"),
    (
      "linuximage", "driverupdatesrc",
      "dud:/install/dud/dd.img,rpm:/install/rpm/d.rpm,/install/x.rpm"
    ),
    ("linuximage", "crashkernelsize", "0M-2G:0M,2G-4G:320M,1G@16M"),
    ("linuximage", "kernelver", "5.14.0-427.13.1.el9_4.x86_64"),
    ("linuximage", "dump", "nfs://10.0.0.1/var/dumps"),
    ("linuximage", "rootimgdir", "/install/a+b/c_d"),
    ("kitrepo", "osmajorversion", ">=8"), ("kitcomponent", "kitcompdeps", "a-1.0, b >= 2"),
    ("kitcomponent", "kitpkgdeps", "mpi>=1.2,tar<2"),
    ("litefile", "file", "/var/lib/"), ("litefile", "options", "link,persistent"),
  ])
  func `common values of administrators are accepted`(
    _ table: String, _ column: String, _ value: String
  ) throws {
    let schema = try #require(TableSchema.named(table))
    #expect(UnsafeValue.all(in: [column: value], of: schema) == [])
  }

  // MARK: Values of real images

  /// Attributes in the templates, examples and table descriptions of xCAT (Tests/Fixtures/README.md).
  @Test func `values of xCAT's templates are accepted`() throws {
    let text = try String(contentsOfFile: fixture("xcat/values.tsv"), encoding: .utf8)
    var count = 0
    for line in text.split(separator: "\n").dropFirst() {
      let fields = line.split(separator: "\t").map(String.init)
      try #require(fields.count == 4, "\(line)")
      let schema = try #require(TableSchema.named(fields[0]))
      #expect(schema.columns.contains(fields[1]), "\(line)")
      #expect(UnsafeValue.all(in: [fields[1]: fields[2]], of: schema) == [], "\(fields[3])")
      count += 1
    }
    #expect(count > 900)
  }

  @Test(.usesTools) func `manifests and litefile rows of xCAT's bundles are accepted`() throws {
    var bundles = 0
    var values = 0
    let directories = [fixture("xcat"), fixture("xcat/exported")]
    for directory in directories {
      for name in try FileManager.default.contentsOfDirectory(atPath: directory)
      where name.hasSuffix(".tgz") && name != "mn.tgz" {
        let bundle = "\(directory)/\(name)"
        func member(_ pattern: String) throws -> String {
          try run("tar", "xzOf", bundle, "--wildcards", pattern).output
        }
        let manifest = try Manifest.parse(Array(try member("*manifest.xml").utf8))
        #expect(manifest.unsafeValues == [], "\(name)")
        try manifest.refuseHarmfulText()
        values += manifest.osimage.count + manifest.linuximage.count + manifest.values.count
        values += try LitefileRows.parse(Array(try member("*litefile.csv").utf8)).count
        bundles += 1
      }
    }
    #expect(bundles >= 20 && values > 300, "\(bundles) bundles, \(values) values")
  }

  @Test(.usesTools) func `every row of xCAT's own tables is accepted`() throws {
    let node = try TestNode.real()
    var values = 0
    for (table, rows) in try node.rows() {
      let schema = try #require(TableSchema.named(table))
      for row in rows {
        #expect(UnsafeValue.all(in: row, of: schema) == [], "\(table)")
        values += row.count
      }
    }
    #expect(values > 50, "\(values)")
  }
}
