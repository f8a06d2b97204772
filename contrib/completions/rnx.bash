# bash completion for rnx; made by `rnx completion bash`.
_rnx()
{
    local cur=${COMP_WORDS[COMP_CWORD]} verb='' flags='' word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == -* || $word == '=' ]] && continue
        if [[ -z $verb ]]; then verb=$word; else
            [[ ' job volume monitor network ' == *" $verb "* ]] && verb="$verb $word"
            break
        fi
    done
    flags=' --config= --node= --json --version --help'
    case $verb in
    '') flags="$flags run job list status log stop cancel delete delete-all volume metrics monitor monitor network nodes version config-help completion help" ;;
    job) flags="$flags run list status log stop cancel delete delete-all metrics" ;;
    volume) flags="$flags create list remove" ;;
    monitor) flags="$flags status top watch" ;;
    network) flags="$flags create list remove" ;;
    'job run' | 'run') flags="$flags --max-cpu= --max-memory= --max-iobps= --cpu-cores= --runtime= --network= --volume= --upload= --upload-dir= --schedule= --env= --secret-env= --timeout= --name= --workdir= --wait --workflow= --template= --gpu= --gpu-memory= --priority= --net-rx= --net-tx= --tmp-size=" ;;
    'job list' | 'list') flags="$flags --status= --workflow" ;;
    'job status' | 'status') flags="$flags --workflow --detail" ;;
    'job log' | 'log') flags="$flags --follow --no-follow --tail= --timestamps" ;;
    'volume create') flags="$flags --size= --type=" ;;
    'monitor top') flags="$flags --filter=" ;;
    'monitor watch') flags="$flags --interval= --filter= --compact" ;;
    'network create') flags="$flags --cidr=" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _rnx rnx
