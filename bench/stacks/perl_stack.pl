# For line_stack.py: `perl perl_stack.pl NAME`, one HTTP library as its page shows it.
use strict;
use warnings;

my ($base, $key) = @ENV{qw(VOREL_BASE_URL VOREL_API_KEY)};
my %headers = ('Authorization' => "Bearer $key", 'Content-Type' => 'application/json');

sub http_tiny {
    require HTTP::Tiny;
    my $client = HTTP::Tiny->new(timeout => 5, default_headers => \%headers);
    return sub {
        my $response = $client->post($base . $_[0], { content => $_[1] });
        die "$response->{status}\n" unless $response->{success};
        return $response->{content};
    };
}

sub lwp {
    require LWP::UserAgent;
    my $client = LWP::UserAgent->new(timeout => 5, keep_alive => 1);
    return sub {
        my $response = $client->post($base . $_[0], %headers, Content => $_[1]);
        die $response->status_line, "\n" unless $response->is_success;
        return $response->decoded_content;
    };
}

sub mojo {
    require Mojo::UserAgent;
    my $client = Mojo::UserAgent->new(request_timeout => 5);
    return sub {
        my $response = $client->post($base . $_[0] => \%headers => $_[1])->result;
        die $response->code, "\n" unless $response->is_success;
        return $response->body;
    };
}

my $post = { 'http-tiny' => \&http_tiny, 'lwp' => \&lwp, 'mojo' => \&mojo }->{ $ARGV[0] }->();
$| = 1;
while (my $line = <STDIN>) {
    chomp $line;
    my $answer = eval { $post->(split /\t/, $line, 2) };
    $answer = '!' . $@ unless defined $answer;
    $answer =~ tr/\n//d;
    print "$answer\n";
}
