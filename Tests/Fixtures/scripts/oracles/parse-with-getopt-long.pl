#!/usr/bin/env perl
# Parses command lines of imgexport with Getopt::Long. Reads lines of words separated by tabs; prints the
# options and operands of each, or "mistake".
use Getopt::Long; Getopt::Long::Configure("bundling", "no_pass_through");
$SIG{__WARN__} = sub {};
sub show { defined $_[0] ? '"' . $_[0] . '"' : 'null' }
while (my $line = <STDIN>) {
  chomp $line; @ARGV = split /\t/, $line, -1; shift @ARGV;
  my ($help, @extra, $node, $host, $verbose);
  my $ok = GetOptions('h|?|help' => \$help, 'p|postscripts=s' => \$node, 'e|extra=s' => \@extra,
    'R|remotehost=s' => \$host, 'v|verbose' => \$verbose);
  print $ok ? join(" ", $help ? 1 : 0, $verbose ? 1 : 0, show($node), show($host),
    "[" . join(",", map { show($_) } @extra) . "]",
    "[" . join(",", map { show($_) } @ARGV) . "]") : "mistake", "\n";
}
