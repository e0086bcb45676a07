# Completion of ./run for fish. In ~/.config/fish/config.fish, or once:  ./run completion fish | source
function __weir_run
    set -l words (commandline -opc) (commandline -ct)
    set -l offers ($words[1] completion --words $words[2..] 2>/dev/null | string match -r '.+')
    if set -q offers[1]
        string join \n -- $offers
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c run -f -a '(__weir_run)'
