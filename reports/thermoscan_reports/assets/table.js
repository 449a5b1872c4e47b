// Unpacks a table (packing.py says how it is packed), draws it M=30 rows at a time, sorts, filters, turns pages.
// What follows it in the script says which rows to keep(i), how to fill(row, i), and by what else to sort.
// A column of numbers falls first; one whose button has a value rises.
// T table, N names, K sort keys by column, O the rows listed, in order, p page.
(async()=>{
let k=0,p=0,M=30,by,up,O;
const D=document,$=i=>D.getElementById(i),
T=await new Response(new Blob([Uint8Array.from(atob($('rows').textContent),c=>c.charCodeAt())]).stream().pipeThrough(new DecompressionStream('gzip'))).json(),
words=w=>w.rows.map(r=>w.words[r]),
N=words(T.names).map(t=>t.replace(/\n/g,()=>T.names.numbers[k++])),
K=[[...N.keys()],...T.numbers.map(c=>[...c.letters].map((e,i)=>e=='.'?null:
+((e<'a'?'-':'')+c.digits.substr(3*i,3)+'e'+((e.charCodeAt()&31)-16))))],
show=(v,a=Math.abs(v))=>v==null?'–':a&&a<1e-4?v.toExponential(2):a<999.5||a>=999500?v.toPrecision(3):v.toFixed(),
cell=(r,t)=>Object.assign(r.insertCell(),{textContent:t}),
draw=()=>{
const a=p*M,L=O.length,z=Math.min(a+M,L),B=$('body');
B.textContent='';
O.slice(a,z).map(i=>{
const r=B.insertRow();
r.innerHTML='<th scope=row>';
r.firstChild.textContent=N[i];
fill(r,i)
});
$('at').textContent=`${L&&a+1}–${z} of ${L.toLocaleString('en')}`;
$('prev').disabled=!p;$('next').disabled=z==L
},
list=()=>{
const v=K[by],q=$('q').value.toLowerCase();
O=[...new Set([...T.first,...K[0]])].filter(i=>keep(i,q));
if(v) O.sort((a,b)=>(v[a]==null)-(v[b]==null)||(v[a]-v[b])*up);
p=0;draw()
},
heads=D.querySelectorAll('thead button');
heads.forEach((b,j)=>{
b.disabled=0;
b.onclick=()=>{
up=by==j?-up:b.value||-1;by=j;list();
heads.forEach(h=>h.parentNode.ariaSort=h!=b?'none':up>0?'ascending':'descending')
}
});
$('prev').onclick=()=>draw(p--);
$('next').onclick=()=>draw(p++);
$('q').oninput=list;
$('tools').hidden=0;
