// No value that fits its column acts when it stands in the shell lines that xCAT makes of it, and what the
// world's images have fits.

import Foundation
import TestSupport
import Testing
import XCAT

@Suite struct ValueGrammarTests {
  private static let tables: [TableSchema] = [
    .osimage, .linuximage, .litefile, .kit, .kitrepo, .kitcomponent,
  ]

  /// Shell lines of xCAT's commands, "%" for the value (genimage.pm, packimage.pm, statelite.pm, kit.pm).
  private static let lines: [String: [String]] = [
    "rootimgdir": [
      "rm -rf %/xcatpost", "mkdir -p %/xcatpost", "cp -r /p/x %/xcatpost/",
      "tool --rootimgdir %", "mv %/.statebackup/a %/a", "umount %/proc",
    ],
    "imagename": ["tool %", "ilitefile %"], "osarch": ["tool -a %", "ilitefile r-%-statelite-p"],
    "osvers": ["tool -o %", "ilitefile %-a-statelite-p"],
    "profile": ["tool -p %", "ilitefile r-a-statelite-%"], "netdrivers": ["tool -n %"],
    "nodebootif": ["tool -i %"], "otherifce": ["tool -r %"], "kernelver": ["tool -k %"],
    "krpmver": ["tool -g %"], "permission": ["tool --permission %"],
    "kerneldir": ["tool --kerneldir %"], "environvar": ["tool --env %"],
    "pkglist": ["tool --pkglist %"], "otherpkglist": ["tool --otherpkglist %"],
    "driverupdatesrc": ["tool --driverupdatesrc %"], "synclists": ["xdcp -i /r -F %"],
    "pkgdir": ["tool --srcdir \"%\""], "otherpkgdir": ["tool --otherpkgdir \"%\""],
    "postinstall": ["tool --postinstall \"%\""],
    "file": [
      "rm -rf /r%", "mkdir -p /r/.default%", "cp -r -a /r% /r/.default%", "touch /r%",
      "ln -sfn ../../x/.default% /r/.statelite/tmpfs%", "mv /r% /r/.statebackup%",
    ],
    "kitdir": ["rm -rf %", "cp -dr % /tmp/x"], "kitname": ["mv /k/% /k/%.ORIG"],
  ]

  /// What may be in a value, alone and within what the column is for.
  private static let pieces = [
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

  private func values(_ grammar: ValueGrammar) -> [String] {
    Self.pieces + [
      "/install/x" + Self.pieces[1], "/install/*", "/install/{a,b}", "/install/a,/b *",
    ]
  }

  @Test func `what fits a column is taken by xCAT's shell lines as it is`() throws {
    var pairs = 0
    var cases: [(line: String, words: [String])] = []
    for schema in Self.tables {
      for column in schema.columns {
        let grammar = schema.grammar(of: column)
        for value in values(grammar) {
          pairs += 1
          guard grammar != .prose, grammar.finding(value) == nil, !value.isEmpty else { continue }
          let isText =
            switch grammar {
            case .words, .list(.script), .comparison, .spacedList: true
            default: false
            }
          for line in Self.lines[column] ?? [isText ? "tool \"%\"" : "tool %"] {
            cases.append(
              (
                line.replacing("%", with: value),
                line.split(separator: " ").map {
                  String($0).replacing("\"", with: "").replacing("%", with: value)
                }
              ))
          }
        }
      }
    }
    #expect(pairs >= 2000, "\(pairs)")
    #expect(cases.count > 500, "\(cases.count)")
    let folder = try TemporaryFolder()
    let input = folder.path("lines")
    try Data(cases.map { Array($0.line.utf8) + [0] }.joined()).write(
      to: URL(fileURLWithPath: input))
    // Each command tells its words; a folder with a file catches globs and redirections.
    let script = """
      mkdir work; cd work; touch victim
      for name in rm mkdir cp mv ln touch tool ilitefile xdcp umount; do
        eval "$name() { printf '%s\\0' $name \\"\\$@\\"; }"
      done
      while IFS= read -r -d '' line; do eval "$line"; printf 'end\\0'; done <"$1"
      ls -A | tr '\\n' ' '
      """
    let result = try run(
      "bash", arguments: ["-c", "cd \"$2\"; " + script, "", input, folder.path])
    let told = result.output.split(separator: "\0", omittingEmptySubsequences: false)
    var runs: [[String]] = [[]]
    for word in told {
      if word == "end" { runs.append([]) } else { runs[runs.count - 1].append(String(word)) }
    }
    #expect(runs.last == ["victim "], "nothing was made: \(runs.last ?? [])")
    #expect(runs.count == cases.count + 1)
    for (told, wanted) in zip(runs, cases) {
      #expect(told == wanted.words, "\(wanted.line)")
    }
    #expect(result.errors == "", "\(result.errors)")
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
  ])
  func `what a shell would act on does not fit, and the value is named`(
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
    ("litefile", "file", "/var/lib/"), ("litefile", "options", "link,persistent"),
  ])
  func `what administrators write fits`(_ table: String, _ column: String, _ value: String) throws {
    let schema = try #require(TableSchema.named(table))
    #expect(UnsafeValue.all(in: [column: value], of: schema) == [])
  }
}
